//! The daemon's figures for people. Names are those of the JSON form, so that one can be found in the other.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cynic_proto::model::Verdict;
use cynic_proto::stats::{LatencyStats, Stats};

use super::style::{self, BAD, FAINT, GOOD, PLAIN, STRONG, WARN, paint};
use super::table::{Cell, Column, Table};
use crate::text::{bytes, elapsed, grouped, micros, printable, width};

/// Column at which values begin: behind the longest name.
const NAME_WIDTH: usize = 26;

/// Everything, for that many terminal columns.
pub fn text(stats: &Stats, columns: usize) -> String {
    let mut out = head(stats);
    pool(&mut out, stats, columns);
    workers(&mut out, stats, columns);
    stages(&mut out, stats, columns);
    rest(&mut out, stats, columns);
    out
}

fn head(stats: &Stats) -> String {
    let condition = if stats.draining {
        paint(WARN, "draining")
    } else if !stats.ready {
        paint(BAD, "not ready")
    } else if stats.degraded.is_empty() {
        paint(GOOD, "ready")
    } else {
        paint(WARN, "ready, degraded")
    };
    let build = paint(STRONG, &printable(&stats.build));
    let mut out =
        format!("{build}  {condition}  pid {}, up {}\n", stats.pid, elapsed(stats.uptime_s));
    for what in &stats.degraded {
        let _ = writeln!(out, "  {}", paint(WARN, &printable(what)));
    }
    out
}

fn title(out: &mut String, text: &str) {
    let _ = writeln!(out, "\n{}", paint(STRONG, text));
}

fn figure(out: &mut String, name: &str, value: &str) {
    let _ = writeln!(out, "  {name}{}{value}", " ".repeat(NAME_WIDTH.saturating_sub(width(name))));
}

fn with_max(now: impl Into<u64>, most: impl Into<u64>) -> String {
    format!("{} {}", grouped(now.into()), paint(FAINT, &format!("(most {})", grouped(most.into()))))
}

fn pool(out: &mut String, stats: &Stats, columns: usize) {
    let pool = &stats.pool;
    title(out, "Pool");
    figure(out, "tasks_processed", &grouped(pool.tasks_processed));
    figure(out, "tasks_queued", &grouped(pool.tasks_queued));
    figure(out, "active_tasks", &with_max(pool.active_tasks, pool.active_tasks_max));
    figure(out, "queue_length", &with_max(pool.queue_length, pool.queue_length_max));
    let most = paint(FAINT, &format!("(most {})", bytes(pool.queue_bytes_max)));
    figure(out, "queue_bytes", &format!("{} {most}", bytes(pool.queue_bytes)));
    figure(out, "oldest_wait", &micros(pool.oldest_wait_ms as f64 * 1000.0));
    figure(out, "avg_processing_time", &micros(pool.avg_processing_time * 1000.0));
    figure(out, "pool_size", &pool.pool_size.to_string());
    figure(out, "workers_idle", &pool.workers_idle.to_string());
    if pool.retries + pool.quarantined + pool.recycled > 0 {
        figure(out, "retries", &grouped(pool.retries));
        figure(out, "quarantined", &grouped(pool.quarantined));
        figure(out, "recycled", &grouped(pool.recycled));
    }
    for (name, counts) in
        [("rejects", &pool.rejects), ("failures", &pool.failures), ("deaths", &pool.deaths)]
    {
        figure(out, name, &clip_to(&counted(counts), columns));
    }
    for death in stats.last_deaths.iter().rev() {
        let text = format!("{}, worker {}", crate::text::death(death), printable(&death.worker));
        figure(out, "died", &clip_to(&text, columns));
    }
    for dimension in &pool.dimensions {
        let name = printable(&dimension.name);
        let retry = match dimension.retry_in_ms {
            0 => String::new(),
            ms => format!(", tried again in {}", micros(ms as f64 * 1000.0)),
        };
        let text = format!(
            "{}{retry}: {}, {}, skipped by {}",
            printable(&dimension.state),
            crate::text::counted(dimension.deaths, "death"),
            crate::text::counted(dimension.fallbacks, "fallback"),
            crate::text::counted(dimension.skipped, "lease"),
        );
        let style = if dimension.state == "closed" { FAINT } else { WARN };
        figure(out, &name, &paint(style, &clip_to(&text, columns)));
    }
    if pool.breaker_open {
        figure(out, "breaker", &paint(BAD, "open: workers die at boot; trying again at intervals"));
    }
}

fn clip_to(text: &str, columns: usize) -> String {
    crate::text::clip(text, columns.saturating_sub(NAME_WIDTH + 2))
}

/// `busy 3, queue_timeout 1`, or `none`.
fn counted(counts: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> = counts
        .iter()
        .filter(|(_, n)| **n > 0)
        .map(|(name, n)| format!("{} {}", printable(name), grouped(*n)))
        .collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn workers(out: &mut String, stats: &Stats, columns: usize) {
    if stats.workers.is_empty() {
        return;
    }
    let rows: Vec<Vec<Cell>> = stats
        .workers
        .iter()
        .map(|worker| {
            let doing = match worker.state.as_str() {
                "idle" => Cell::new("idle", GOOD),
                "down" => Cell::new("down", BAD),
                other => printable(other).into(),
            };
            vec![
                format!("{}.{}", worker.slot, worker.generation).into(),
                if worker.pid == 0 { "-".into() } else { worker.pid.to_string().into() },
                doing,
                grouped(worker.tasks).into(),
                if worker.pid == 0 { "-".into() } else { bytes(worker.memory_bytes).into() },
                printable(&worker.sandbox).into(),
                printable(&worker.doing).into(),
            ]
        })
        .collect();
    let fields = vec![
        Column::left("WORKER"),
        Column::right("PID"),
        Column::left("STATE"),
        Column::right("TASKS"),
        Column::right("MEMORY"),
        Column::left("SANDBOX"),
        Column::left("DOING"),
    ];
    section(out, "Workers", fields, &rows, columns);
    let isolation = &stats.isolation;
    figure(out, "sandbox", &printable(&isolation.sandbox));
    figure(out, "cgroup", &clip_to(&printable(&isolation.cgroup), columns));
}

fn stages(out: &mut String, stats: &Stats, columns: usize) {
    let rows: Vec<Vec<Cell>> = stats
        .stages
        .iter()
        .map(|stage| {
            let name = printable(&stage.name);
            vec![
                Cell::new(name, if stage.holds_up { WARN } else { PLAIN }),
                grouped(stage.in_flight).into(),
                grouped(stage.waiting).into(),
                grouped(stage.done).into(),
                grouped(stage.failed).into(),
                grouped(stage.over_budget).into(),
                micros(stage.time.p50_us as f64).into(),
                micros(stage.time.p99_us as f64).into(),
                micros(stage.budget_us as f64).into(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    let fields = vec![
        Column::left("STAGE"),
        Column::right("IN FLIGHT"),
        Column::right("WAITING"),
        Column::right("DONE"),
        Column::right("FAILED"),
        Column::right("OVER"),
        Column::right("P50"),
        Column::right("P99"),
        Column::right("BUDGET"),
    ];
    section(out, "Stages", fields, &rows, columns);
    for stage in stats.stages.iter().filter(|stage| stage.holds_up) {
        let text = format!("{}: it is full, and work waits for it", printable(&stage.name));
        figure(out, "held_up_by", &paint(WARN, &text));
    }
}

fn section(out: &mut String, name: &str, fields: Vec<Column>, rows: &[Vec<Cell>], columns: usize) {
    title(out, name);
    let table = Table::fitted(fields, rows, columns.saturating_sub(2));
    for line in table.render(rows).lines() {
        let _ = writeln!(out, "  {line}");
    }
}

fn rest(out: &mut String, stats: &Stats, columns: usize) {
    title(out, "Answers");
    figure(out, "latency", &latency(&stats.latency));
    let verdicts: Vec<String> = Verdict::ALL
        .into_iter()
        .filter_map(|verdict| {
            let n = stats.verdicts.get(verdict.name()).copied().filter(|n| *n > 0)?;
            Some(paint(style::of(verdict), &format!("{} {verdict}", grouped(n))))
        })
        .collect();
    let verdicts = if verdicts.is_empty() { "none".to_owned() } else { verdicts.join(", ") };
    figure(out, "verdicts", &verdicts);

    let recorder = &stats.recorder;
    title(out, "Recorder");
    figure(out, "store", &clip_to(&printable(&recorder.store), columns));
    let oldest = if recorder.buffered > 0 {
        let age = micros(recorder.oldest_age_ms as f64 * 1000.0);
        paint(FAINT, &format!(" (oldest {age})"))
    } else {
        String::new()
    };
    figure(out, "buffered", &(grouped(recorder.buffered) + &oldest));
    figure(out, "flushed", &grouped(recorder.flushed));
    figure(out, "transactions", &grouped(recorder.transactions));
    if recorder.retries + recorder.dead_letters + recorder.spilled > 0 {
        figure(out, "retries", &grouped(recorder.retries));
        figure(out, "dead_letters", &grouped(recorder.dead_letters));
        figure(out, "spilled", &grouped(recorder.spilled));
    }
    figure(out, "flush_latency", &latency(&recorder.flush_latency));
    let trips = format!("{:.2}", recorder.round_trips_per_judgment);
    figure(out, "round_trips_per_judgment", &trips);

    let quarantine = &stats.quarantine;
    title(out, "Quarantine");
    figure(out, "items", &format!("{} ({})", grouped(quarantine.items), bytes(quarantine.bytes)));
    figure(out, "hits", &grouped(quarantine.hits));
    if quarantine.evicted > 0 {
        figure(out, "evicted", &grouped(quarantine.evicted));
    }

    let clients = &stats.clients;
    title(out, "Clients");
    let most = with_max(clients.connected, clients.connected_max);
    figure(out, "connected", &format!("{most} of {}", grouped(clients.max.into())));
    figure(out, "admins", &grouped(clients.admins.into()));
    figure(out, "accepted", &grouped(clients.accepted));
    figure(out, "turned away", &counted(&clients.turned_away));
    figure(out, "expelled", &grouped(clients.expelled));
    if clients.refused > 0 {
        figure(out, "refused", &grouped(clients.refused));
    }
}

fn latency(time: &LatencyStats) -> String {
    if time.count == 0 {
        return "none yet".to_owned();
    }
    format!(
        "p50 {}, p99 {}, most {}",
        micros(time.p50_us as f64),
        micros(time.p99_us as f64),
        micros(time.max_us as f64)
    )
}
