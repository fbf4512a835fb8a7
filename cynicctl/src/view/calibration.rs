//! A calibration before and after, for people.

use std::fmt::Write as _;

use cynic_proto::calibration::{CalibrationReport, CalibrationRequest, CalibrationVersion, Fit};

use super::history::timestamp;
use super::style::{FAINT, GOOD, STRONG, WARN, paint};
use super::table::{Cell, Column, Table};
use crate::text::{counted, printable, wrap};

/// The report of what was asked, for that many terminal columns.
pub fn text(request: CalibrationRequest, report: &CalibrationReport, columns: usize) -> String {
    let mut out = paint(STRONG, &headline(request, report)) + "\n";
    if report.domains.is_empty() {
        out.push_str("There is no feedback yet: give some with `cynicctl feedback ID good|bad`.\n");
    } else {
        out.push('\n');
        domains(&mut out, report, columns);
    }
    versions(&mut out, report);
    out
}

fn headline(request: CalibrationRequest, report: &CalibrationReport) -> String {
    let (before, after) = (report.before.version, report.after.version);
    match request {
        CalibrationRequest::Show => format!("{} in use", name(before)),
        CalibrationRequest::DryRun if report.before == report.after => {
            format!("{} in use; the feedback changes nothing", name(before))
        }
        CalibrationRequest::DryRun => format!(
            "{} in use; nothing is changed by this dry run (`cynicctl calibrate --apply` does it)",
            name(before)
        ),
        _ if !report.applied => format!("{} in use, as before", name(before)),
        _ => format!("{} in use from now on, in place of {}", name(after), name(before)),
    }
}

fn name(version: u32) -> String {
    match version {
        0 => "the model's own thresholds".to_owned(),
        version => format!("calibration {version}"),
    }
}

fn domains(out: &mut String, report: &CalibrationReport, columns: usize) {
    let rows: Vec<Vec<Cell>> = report
        .domains
        .iter()
        .map(|domain| {
            let (before, after) = (&domain.before, &domain.after);
            let score = |of: fn(&Fit) -> f32| changed(&one(of(before)), &one(of(after)));
            // A share of nothing is no share.
            let share = |among: u32, of: fn(&Fit) -> f32| {
                if among == 0 {
                    Cell::from("-")
                } else {
                    changed(&percent(of(before)), &percent(of(after)))
                }
            };
            let all = domain.good.saturating_add(domain.bad);
            vec![
                domain.domain.name().into(),
                domain.good.to_string().into(),
                domain.bad.to_string().into(),
                score(|fit| fit.thresholds.howl),
                score(|fit| fit.thresholds.wag),
                score(|fit| fit.thresholds.growl),
                changed(&two(before.confidence), &two(after.confidence)),
                share(all, |fit| fit.accuracy),
                share(domain.good, |fit| fit.good_flagged),
                share(domain.bad, |fit| fit.bad_flagged),
            ]
        })
        .collect();
    let fields = vec![
        Column::left("DOMAIN"),
        Column::right("GOOD"),
        Column::right("BAD"),
        Column::right("HOWL"),
        Column::right("WAG"),
        Column::right("GROWL"),
        Column::right("CONF"),
        Column::right("RIGHT"),
        Column::right("FALSE ALARM"),
        Column::right("CAUGHT"),
    ];
    out.push_str(&Table::fitted(fields, &rows, columns).render(&rows));
    for domain in report.domains.iter().filter(|domain| !domain.remark.is_empty()) {
        let remark = format!("{}: {}", domain.domain.name(), printable(&domain.remark));
        for line in wrap(&remark, columns.saturating_sub(2)) {
            let _ = writeln!(out, "  {}", paint(FAINT, &line));
        }
    }
}

/// What was, and what it becomes.
fn changed(before: &str, after: &str) -> Cell {
    if before == after {
        Cell::from(before)
    } else {
        Cell::new(format!("{before}→{after}"), WARN)
    }
}

fn one(score: f32) -> String {
    format!("{score:.1}")
}

fn two(confidence: f32) -> String {
    format!("{confidence:.2}")
}

fn percent(share: f32) -> String {
    format!("{:.0}%", share * 100.0)
}

fn versions(out: &mut String, report: &CalibrationReport) {
    if report.versions.len() < 2 {
        return;
    }
    let _ =
        writeln!(out, "\n{}", paint(STRONG, "Versions (`cynicctl calibrate --revert VERSION`)"));
    for version in &report.versions {
        let in_use = if version.in_use { paint(GOOD, "  in use") } else { String::new() };
        let _ = writeln!(out, "  {:>4}  {}{in_use}", version.version, origin(version));
    }
}

fn origin(version: &CalibrationVersion) -> String {
    if version.version == 0 {
        return "the model's own".to_owned();
    }
    let made = timestamp(version.created_at_us).strftime("%Y-%m-%d %H:%M UTC").to_string();
    format!("{made}, {}", counted(version.feedbacks.into(), "feedback"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cynic_proto::calibration::{Calibration, DomainCalibration, Thresholds};
    use cynic_proto::model::Domain;

    #[test]
    fn a_dry_run_shows_before_and_after() {
        let before = Fit {
            thresholds: Thresholds::MODEL,
            accuracy: 0.81,
            good_flagged: 0.25,
            bad_flagged: 0.5,
            confidence: 0.4,
        };
        let thresholds = Thresholds { wag: 47.3, ..Thresholds::MODEL };
        let after = Fit { thresholds, accuracy: 0.88, good_flagged: 0.1, ..before };
        let remark = "WAG moved by -2.7: fewer false alarms\u{1b}[2J".to_owned();
        let (good, bad) = (20, 8);
        let domain = Domain::Prompt;
        let version =
            CalibrationVersion { version: 0, created_at_us: 0, feedbacks: 0, in_use: true };
        let report = CalibrationReport {
            before: Calibration::default(),
            after: Calibration { version: 1, ..Calibration::default() },
            applied: false,
            domains: vec![DomainCalibration { domain, good, bad, before, after, remark }],
            versions: vec![CalibrationVersion { version: 1, in_use: false, ..version }, version],
        };
        insta::assert_snapshot!(text(CalibrationRequest::DryRun, &report, 90));
        let none = CalibrationReport { domains: Vec::new(), versions: Vec::new(), ..report };
        insta::assert_snapshot!("no_feedback", text(CalibrationRequest::Show, &none, 90));
    }
}
