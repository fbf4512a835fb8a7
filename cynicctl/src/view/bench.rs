//! What a bench found, for people.

use std::fmt::Write as _;

use super::style::{BAD, FAINT, STRONG, WARN, paint};
use super::table::{Cell, Column, Table};
use crate::bench::{OVERRUN, Percentiles, Report, Run, Series};
use crate::text::{bytes, counted, grouped, micros, printable, wrap};

/// Lateness of the sender's own at its 99th percentile, beside the answers', above which it is pointed out.
const LATE_SHARE: f64 = 0.25;

/// Everything, for that many terminal columns.
pub fn text(report: &Report, columns: usize) -> String {
    let mut out = head(report, columns);
    match (report.series, report.runs.first()) {
        (_, None) => {}
        (Series::Load, Some(run)) => one(&mut out, run, columns),
        (Series::Sweep | Series::Workers, Some(_)) => series(&mut out, report, columns),
    }
    for note in notes(&report.runs) {
        for line in wrap(&format!("note: {note}"), columns) {
            let _ = writeln!(out, "{}", paint(WARN, &line));
        }
    }
    out
}

/// In one line what was sent, for the text and the page.
pub fn setting(report: &Report) -> String {
    let setting = &report.setting;
    let open = report.runs.iter().any(|run| run.offered_per_s.is_some());
    let pace = if open { "open loop" } else { "closed loop" };
    format!(
        "{pace}: {} × {} in flight at most, lane {}, answered once {}, {} s after {} s of warm-up",
        counted(setting.clients.into(), "client"),
        grouped(setting.in_flight.into()),
        setting.lane.name(),
        setting.ack.name(),
        setting.duration_s,
        setting.warmup_s,
    )
}

/// In one line what it was sent to.
pub fn subject(report: &Report) -> String {
    let workers = report.runs.first().map_or(0, |run| run.workers);
    let workers = match report.series {
        Series::Workers => String::new(),
        _ => format!("{}, ", counted(workers.into(), "worker")),
    };
    format!(
        "{}: {workers}{}, store {}, sandbox {}",
        printable(&report.build),
        counted(report.cores as u64, "core"),
        printable(&report.store),
        printable(&report.sandbox)
    )
}

/// In one line which items.
pub fn mix(report: &Report) -> String {
    let part = |(name, share): &(String, f64)| format!("{} {:.0}%", printable(name), share * 100.0);
    report.setting.mix.iter().map(part).collect::<Vec<_>>().join(", ")
}

fn head(report: &Report, columns: usize) -> String {
    let mut out = String::new();
    for line in wrap(&subject(report), columns) {
        let _ = writeln!(out, "{}", paint(STRONG, &line));
    }
    for text in [setting(report), format!("items: {}", mix(report))] {
        for line in wrap(&text, columns) {
            let _ = writeln!(out, "{line}");
        }
    }
    out
}

fn one(out: &mut String, run: &Run, columns: usize) {
    let offered = run.offered_per_s.map(|rate| format!(" of {} offered", per_s(rate)));
    let _ = writeln!(
        out,
        "\n{}  {} judged a second{}: {} judged, {} not",
        paint(STRONG, "Throughput"),
        per_s(run.judged_per_s),
        offered.unwrap_or_default(),
        grouped(run.judged),
        grouped(run.lost()),
    );
    let mut rows = vec![latency("all", &run.latency)];
    if run.kinds.len() > 1 {
        rows.extend(run.kinds.iter().map(|(name, times)| latency(&printable(name), times)));
    }
    if let Some(late) = &run.late {
        rows.push(latency("sent late by", late));
    }
    section(out, "Latency", latency_columns("OF"), &rows, columns);
    // Of a daemon that kept its figures to itself the costs are not known, as a note says.
    if !run.figures_late {
        cost(out, run, columns);
    }
}

fn cost(out: &mut String, run: &Run, columns: usize) {
    let cpu = run.cpu_per_1000;
    let cells = |name: &str, cpu: Option<f64>, rss: Option<u64>, pss: Option<u64>| -> Vec<Cell> {
        let memory = |memory: Option<u64>| memory.map_or_else(|| "-".to_owned(), bytes);
        vec![name.to_owned().into(), seconds(cpu).into(), memory(rss).into(), memory(pss).into()]
    };
    let memory = &run.memory;
    let workers = counted(memory.workers.into(), "worker");
    let rows = [
        cells("daemon", cpu.daemon_s, memory.daemon_rss, memory.daemon_pss),
        cells(&workers, cpu.workers_s, memory.workers_rss, memory.workers_pss),
        cells("this client", cpu.client_s, memory.client_rss, None),
    ];
    let fields = vec![
        Column::left("OF"),
        Column::right("CPU FOR 1000"),
        Column::right("MEMORY RSS"),
        Column::right("PSS"),
    ];
    section(out, "Cost", fields, &rows, columns);
    let stored = match run.round_trips_per_judgment {
        Some(trips) => format!("{trips:.2} database round trips a judgment"),
        None => "nothing was stored".to_owned(),
    };
    let _ = writeln!(out, "  {} of all cores in use; {stored}", share(run.cpu_share));
}

fn series(out: &mut String, report: &Report, columns: usize) {
    let by_workers = report.series == Series::Workers;
    let row = |run: &Run| -> Vec<Cell> {
        let first = match run.offered_per_s {
            Some(rate) => per_s(rate),
            None => run.workers.to_string(),
        };
        let lost = run.lost();
        let lost = Cell::new(grouped(lost), if lost > 0 { BAD } else { FAINT });
        let time = &run.latency;
        let times = [time.p50_us, time.p90_us, time.p99_us, time.p999_us, time.max_us];
        let mut cells: Vec<Cell> = vec![first.into(), per_s(run.judged_per_s).into(), lost];
        cells.extend(times.map(|us| Cell::from(micros(us as f64))));
        cells.push(share(run.cpu_share).into());
        cells
    };
    let rows: Vec<Vec<Cell>> = report.runs.iter().map(row).collect();
    let mut fields = vec![
        Column::right(if by_workers { "WORKERS" } else { "OFFERED/S" }),
        Column::right("JUDGED/S"),
        Column::right("NOT"),
    ];
    fields.extend(TIMES.map(Column::right));
    fields.push(Column::right("CPU"));
    let title = if by_workers { "Throughput against workers" } else { "Latency against load" };
    section(out, title, fields, &rows, columns);
}

/// What makes the figures worth less than they look.
pub fn notes(runs: &[Run]) -> Vec<String> {
    let mut notes = Vec::new();
    for run in runs {
        let at = run.offered_per_s.map(|rate| format!("at {}/s ", per_s(rate))).unwrap_or_default();
        for (kind, n) in &run.failed {
            notes.push(format!("{at}{} not judged: {}", grouped(*n), printable(kind)));
        }
        if run.unanswered > 0 {
            let n = grouped(run.unanswered);
            notes.push(format!("{at}{n} never answered; they count for as long as was waited"));
        }
        if run.unsent > 0 {
            let (n, after) = (grouped(run.unsent), OVERRUN);
            notes.push(format!(
                "{at}{n} were due and not sent by {after:?} after the end: more than this client or the daemon takes; they count for as long as was waited"
            ));
        }
        if run.figures_late {
            notes.push(format!(
                "{at}the daemon did not give its figures in time: processor time, memory and round trips are left out"
            ));
        }
    }
    let late = runs.iter().filter_map(|run| {
        let late = run.late.filter(|late| is_late(late, &run.latency))?;
        Some(format!("p99 {} at {}/s", micros(late.p99_us as f64), per_s(run.offered_per_s?)))
    });
    let late: Vec<String> = late.collect();
    if !late.is_empty() {
        notes.push(format!(
            "this client sent late, which is part of the latency ({}): it had no processor, or as much in flight as it may",
            late.join(", ")
        ));
    }
    notes
}

fn is_late(late: &Percentiles, latency: &Percentiles) -> bool {
    late.p99_us as f64 > latency.p99_us as f64 * LATE_SHARE
}

const TIMES: [&str; 5] = ["P50", "P90", "P99", "P99.9", "MOST"];

fn latency_columns(first: &'static str) -> Vec<Column> {
    let mut fields = vec![Column::left(first), Column::right("COUNT")];
    fields.extend(TIMES.map(|title| Column::right(title).at_least(7)));
    fields
}

fn latency(name: &str, times: &Percentiles) -> Vec<Cell> {
    let shown = [times.p50_us, times.p90_us, times.p99_us, times.p999_us, times.max_us];
    let mut cells: Vec<Cell> = vec![name.to_owned().into(), grouped(times.count).into()];
    cells.extend(shown.map(|us| Cell::from(micros(us as f64))));
    cells
}

/// Processor seconds for a thousand.
pub fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), |seconds| micros(seconds * 1e6))
}

/// A share in percent.
pub fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.0}%", share * 100.0))
}

/// A rate with as many digits as are worth reading.
pub fn per_s(rate: f64) -> String {
    if rate < 100.0 { format!("{rate:.1}") } else { grouped(rate.round() as u64) }
}

fn section(out: &mut String, name: &str, fields: Vec<Column>, rows: &[Vec<Cell>], columns: usize) {
    let _ = writeln!(out, "\n{}", paint(STRONG, name));
    let table = Table::fitted(fields, rows, columns.saturating_sub(2));
    for line in table.render(rows).lines() {
        let _ = writeln!(out, "  {line}");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cynic_proto::message::{Ack, Lane};

    use super::*;
    use crate::bench::{CpuUsed, Memory, Setting};

    fn run(offered: Option<f64>) -> Run {
        let latency = Percentiles {
            count: 12_000,
            mean_us: 812.0,
            p50_us: 640,
            p90_us: 1_500,
            p99_us: 9_800,
            p999_us: 41_000,
            max_us: 1_203_000,
        };
        Run {
            workers: 2,
            offered_per_s: offered,
            judged_per_s: 1_234.5,
            judged: 12_345,
            failed: BTreeMap::from([("busy".to_owned(), 7)]),
            unanswered: 0,
            unsent: 0,
            latency,
            kinds: vec![("chat".to_owned(), latency), ("prose:20k".to_owned(), latency)],
            late: offered.map(|_| latency),
            cpu_per_1000: CpuUsed { daemon_s: Some(0.012), workers_s: Some(0.31), client_s: None },
            cpu_share: Some(0.62),
            figures_late: false,
            memory: Memory {
                daemon_rss: Some(14 << 20),
                daemon_pss: None,
                workers_rss: Some(13 << 20),
                workers_pss: Some(8 << 20),
                workers: 2,
                client_rss: Some(9 << 20),
            },
            round_trips_per_judgment: Some(0.02),
        }
    }

    fn report(series: Series, runs: Vec<Run>) -> Report {
        Report {
            build: "cynic/0.1.0".to_owned(),
            cores: 2,
            store: "sqlite".to_owned(),
            sandbox: "required".to_owned(),
            setting: Setting {
                clients: 4,
                in_flight: 16,
                lane: Lane::Interactive,
                ack: Ack::Judged,
                duration_s: 10.0,
                warmup_s: 1.0,
                mix: vec![("chat".to_owned(), 0.75), ("prose:20k".to_owned(), 0.25)],
            },
            series,
            runs,
        }
    }

    fn plain(report: &Report) -> String {
        let text = anstream::adapter::strip_str(&text(report, 80)).to_string();
        for line in text.lines() {
            assert!(crate::text::width(line) <= 80, "{line}");
        }
        text
    }

    #[test]
    fn a_load_fits_80_columns() {
        insta::assert_snapshot!(plain(&report(Series::Load, vec![run(None)])));
    }

    #[test]
    fn figures_that_came_late_are_left_out_and_not_shown_as_nothing() {
        let late = || Run {
            unanswered: 64,
            cpu_per_1000: CpuUsed::default(),
            cpu_share: None,
            memory: Memory::default(),
            figures_late: true,
            round_trips_per_judgment: None,
            ..run(None)
        };
        insta::assert_snapshot!(plain(&report(Series::Load, vec![late()])));
        let series = plain(&report(Series::Workers, vec![run(None), late()]));
        assert!(series.contains("did not give its figures") && !series.contains("0%"), "{series}");
    }

    #[test]
    fn a_sweep_fits_80_columns() {
        let runs = vec![run(Some(99.0)), Run { unsent: 1_234_567, ..run(Some(1_000_000.0)) }];
        insta::assert_snapshot!(plain(&report(Series::Sweep, runs)));
    }
}
