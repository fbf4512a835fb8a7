//! What is sent: kinds of items with their weights, and a seeded choice among them.

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::Result;
use bytes::Bytes;
use cynic_proto::item::{Form, Hint};

use super::texts::{KINDS, Kind};
use crate::exit::UsageError;
use crate::input::{self, Event, Reading, Source};

/// Bytes of the user's items that are held: the bench sends them again and again from memory.
const FILES_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Largest size that a text is repeated to.
const SIZE_MAX: usize = input::ITEM_BYTES_MAX;

/// What a task without a judgment carries.
const NULL_BYTES: usize = 200;

/// A weighted choice of items.
#[derive(Debug, Clone)]
pub(super) struct Mix {
    pub(super) parts: Vec<Part>,
    weights_sum: f64,
}

/// Items of one kind.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// As typed: `prose:20k`.
    pub(super) name: String,
    pub(super) weight: f64,
    pub(super) items: Vec<Item>,
}

/// What is sent for one task.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) bytes: Bytes,
    pub(super) hint: Hint,
}

impl Mix {
    /// The mix that the user asks for.
    pub(super) fn resolve(mix: Option<&str>, files: &[PathBuf]) -> Result<Mix> {
        let all = KINDS.map(|kind| kind.name).join(",");
        let mix = mix.unwrap_or(if files.is_empty() { &all } else { "files" });
        let mut parts = Vec::new();
        for part in mix.split(',') {
            parts.push(resolve(part.trim(), files)?);
        }
        let weights_sum = parts.iter().map(|part| part.weight).sum();
        Ok(Mix { parts, weights_sum })
    }

    /// The part and the item that two random numbers in [0, 1) stand for.
    pub(super) fn pick(&self, random: (f64, f64)) -> (usize, &Item) {
        let mut rest = random.0 * self.weights_sum;
        let last = self.parts.len() - 1;
        let within = |part: &Part| {
            rest -= part.weight;
            rest < 0.0
        };
        let at = self.parts.iter().position(within).unwrap_or(last);
        let items = &self.parts[at].items;
        let item = (random.1 * items.len() as f64) as usize;
        (at, &items[item.min(items.len() - 1)])
    }
}

fn usage(message: String) -> anyhow::Error {
    UsageError(message).into()
}

fn resolve(text: &str, files: &[PathBuf]) -> Result<Part> {
    let (name, weight) = match text.split_once('=') {
        None => (text, Some(1.0)),
        Some((name, weight)) => {
            (name, weight.parse().ok().filter(|weight: &f64| *weight > 0.0 && weight.is_finite()))
        }
    };
    let weight = weight
        .ok_or_else(|| usage(format!("--mix {text}: expected a weight such as `{name}=2`")))?;
    let (kind, bytes) = match name.split_once(':') {
        None => (name, None),
        Some((kind, bytes)) => {
            (kind, Some(size(bytes).map_err(|e| usage(format!("--mix {text}: {e}")))?))
        }
    };
    let items = match KINDS.iter().find(|known| known.name == kind) {
        Some(kind) => kind.texts.iter().map(|text| built_in(kind, text, bytes)).collect(),
        None if kind == "null" => vec![null(bytes.unwrap_or(NULL_BYTES))],
        None if kind == "files" && bytes.is_none() => read(files)?,
        None => {
            let known = KINDS.map(|kind| kind.name).join(", ");
            return Err(usage(format!("--mix {text}: the kinds are {known}, null and files")));
        }
    };
    Ok(Part { name: name.to_owned(), weight, items })
}

/// `512`, `20k`, `1M`: bytes.
fn size(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1024),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1024 * 1024),
        _ => (text, 1),
    };
    let bytes = digits.parse().ok().and_then(|n: usize| n.checked_mul(unit));
    bytes.filter(|n| (1..=SIZE_MAX).contains(n)).ok_or_else(|| {
        format!(
            "expected a size such as 200, 20k or 1M, at most {}",
            crate::text::bytes(SIZE_MAX as u64)
        )
    })
}

fn built_in(kind: &Kind, text: &str, bytes: Option<usize>) -> Item {
    let bytes = bytes.unwrap_or(text.len());
    let body: Vec<u8> = text.bytes().cycle().take(bytes).collect();
    let item_type = Some(kind.item_type.to_owned());
    let name = kind.file.map(str::to_owned);
    Item { bytes: body.into(), hint: Hint { form: Form::Plain, item_type, name, profile: None } }
}

fn null(bytes: usize) -> Item {
    let profile = Some(cynic_proto::worker::PROFILE_NULL.to_owned());
    Item {
        bytes: vec![b'x'; bytes].into(),
        hint: Hint { form: Form::Plain, profile, ..Hint::default() },
    }
}

fn read(files: &[PathBuf]) -> Result<Vec<Item>> {
    let sources: Vec<Source> = files.iter().cloned().map(Source::Path).collect();
    let (mut items, mut held, mut problem) = (Vec::new(), 0, None);
    let _ = input::read_all(&sources, Reading::Detect, &mut |event| match event {
        Event::Item(item) => {
            held += item.bytes.len();
            let hint = Hint { form: item.form, name: item.name, ..Hint::default() };
            items.push(Item { bytes: item.bytes, hint });
            if held > FILES_BYTES_MAX {
                let max = crate::text::bytes(FILES_BYTES_MAX as u64);
                problem = Some(format!("the items are held in memory, and are more than {max}"));
            }
            if problem.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
        Event::Problem(found) => {
            problem = Some(format!("{}: {}", found.label, found.message));
            ControlFlow::Break(())
        }
        Event::Note(_) | Event::Total(_) => ControlFlow::Continue(()),
    });
    match problem {
        Some(problem) => Err(anyhow::anyhow!(problem)),
        None if items.is_empty() => Err(usage("there is no item in the files named".to_owned())),
        None => Ok(items),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_sizes_are_kept() {
        let mix = Mix::resolve(Some("chat=3,prose:2k"), &[]).expect("valid");
        assert!(mix.parts[1].items.iter().all(|item| item.bytes.len() == 2048));
        let mut dice = fastrand::Rng::with_seed(1);
        let mut picked = [0_u32; 2];
        for _ in 0..10_000 {
            picked[mix.pick((dice.f64(), dice.f64())).0] += 1;
        }
        assert!((7_300..7_700).contains(&picked[0]), "{picked:?}");
    }

    #[test]
    fn each_item_of_a_part_has_its_turn() {
        let mix = Mix::resolve(Some("shell"), &[]).expect("valid");
        assert_ne!(mix.pick((0.0, 0.0)), mix.pick((0.0, 0.999)));
        assert_eq!(mix.pick((0.999, 0.999)).0, 0);
    }

    #[test]
    fn wrong_mixes_are_refused() {
        for wrong in
            ["", "chat=0", "chat=x", "chat:0", "chat:20g", "tea", "files", "files:3k", "chat:17M"]
        {
            assert!(Mix::resolve(Some(wrong), &[]).is_err(), "{wrong}");
        }
    }
}
