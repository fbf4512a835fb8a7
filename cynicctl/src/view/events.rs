//! Events as JSON lines. Owns their keys: `seq`, `time` and `kind`, then the event's own.

use cynic_proto::event::{Event, EventsBatch};
use serde_json::{Map, Number, Value};

use super::history::iso;
use super::json;

/// A line for each event, and before them one that says how many were missed, if any were.
///
/// # Errors
/// As [`json::line`].
pub fn json_lines(batch: &EventsBatch) -> anyhow::Result<String> {
    let mut out = String::new();
    if batch.missed > 0 {
        out += &json::line(&Missed { missed: batch.missed })?;
    }
    for event in &batch.events {
        out += &json::line(&EventView::new(event)?)?;
    }
    Ok(out)
}

#[derive(Debug, serde::Serialize)]
struct Missed {
    missed: u64,
}

#[derive(Debug, serde::Serialize)]
struct EventView {
    seq: u64,
    time: String,
    kind: &'static str,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl EventView {
    fn new(event: &Event) -> serde_json::Result<EventView> {
        // A variant with fields is an object of one key, one without is its name.
        let variant = match serde_json::to_value(&event.what)? {
            Value::Object(variant) => variant.into_iter().next().map(|(_, fields)| fields),
            _ => None,
        };
        let mut fields = Map::new();
        if let Some(Value::Object(named)) = variant {
            for (key, value) in named {
                put(&mut fields, key, value);
            }
        }
        Ok(EventView {
            seq: event.seq,
            time: iso(event.at_us),
            kind: event.what.kind().name(),
            fields,
        })
    }
}

/// A field as programs see it: flat, and left out where it is not known.
fn put(fields: &mut Map<String, Value>, key: String, value: Value) {
    match value {
        Value::Null => {}
        Value::Object(worker) if key == "worker" => {
            let part = |name| worker.get(name).and_then(Value::as_u64).unwrap_or_default();
            let id = format!("{}.{}", part("slot"), part("generation"));
            fields.insert(key, id.into());
        }
        // A cause with particulars: the name under its key, whatever it is, and they under another.
        Value::Object(variant) => {
            for (name, particulars) in variant {
                fields.insert(format!("{key}_detail"), particulars);
                fields.insert(key.clone(), name.into());
            }
        }
        value if key == "task" => drop(fields.insert("task_id".to_owned(), value)),
        Value::Number(number) if number.is_f64() => drop(fields.insert(key, short(&number))),
        value => drop(fields.insert(key, value)),
    }
}

/// The shortest form of a score, which is an `f32` that was made an `f64` on the way here.
fn short(number: &Number) -> Value {
    let score = number.as_f64().unwrap_or_default() as f32;
    score.to_string().parse().map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cynic_proto::error::{Death, DeathCause, ErrorKind};
    use cynic_proto::event::Happening;
    use cynic_proto::ids::{TaskId, WorkerId};
    use cynic_proto::item::ItemErrorKind;
    use cynic_proto::message::Ack;
    use cynic_proto::model::{Dimension, Domain, Stage, Verdict};

    #[test]
    fn events_are_flat_lines() {
        let death = Death {
            cause: DeathCause::Signal(11),
            worker: WorkerId { slot: 2, generation: 7 },
            task: Some(TaskId(1)),
            stage: Some(Stage::Score),
            dimension: Some(Dimension::Candor),
            stderr_tail: "boom\u{1b}[2J".to_owned(),
        };
        let failed = Happening::JudgmentFailed {
            task: TaskId(1),
            error: ErrorKind::InvalidItem(ItemErrorKind::Empty),
            cause: None,
            uid: 1000,
            attempts: 1,
        };
        let completed = Happening::JudgmentCompleted {
            task: TaskId(2),
            q_score: 61.8,
            verdict: Verdict::Wag,
            confidence: 0.1,
            domain: Domain::Prose,
            partial: false,
            ack: Ack::Judged,
            uid: 1000,
            attempts: 1,
            worker: WorkerId { slot: 0, generation: 1 },
            queued_us: 5,
            running_us: 300,
        };
        let happened =
            [completed, Happening::of_death(&death, Some(2)), failed, Happening::PoolReady];
        let events = happened.into_iter().zip(1..);
        let batch = EventsBatch {
            missed: 3,
            events: events.map(|(what, seq)| Event { seq, at_us: 1_500_000, what }).collect(),
        };
        let lines = json_lines(&batch).expect("JSON");
        insta::assert_snapshot!(lines);
    }
}
