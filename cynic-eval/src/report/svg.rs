//! Pictures as inline SVG: plain shapes, coloured by the page's classes, each with a title for its values.
//!
//! Numbers only: no text of items ever comes here.

use std::fmt::Write as _;

use cynic_proto::model::{Axiom, Dimension};

use crate::evaluation::SetFigures;
use crate::metrics::confidence::Bin;
use crate::metrics::dimensions::JUDGED_DIMENSIONS;
use crate::metrics::spread::HISTOGRAM_BARS;

/// Size of a chart's drawing area and the margins for its labels, in SVG units.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 44.0;
const BOTTOM: f64 = 42.0;
const TOP: f64 = 10.0;
const RIGHT: f64 = 18.0;

/// Where verdicts change, as shares of the Q axis.
const VERDICT_BORDERS: [f64; 3] = [0.382, 0.5, 0.8];

/// A chart with axes from 0 to 1, into which `marks` draws with [`x`] and [`y`].
fn chart(
    label: &str,
    x_axis: (&str, &[(f64, &str)]),
    y_axis: &[(f64, String)],
    marks: &str,
) -> String {
    let (w, h) = (LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM);
    let mut out = format!("<svg viewBox=\"0 0 {w} {h}\" role=\"img\" aria-label=\"{label}\">");
    for (at, tick) in y_axis {
        let y = y(*at);
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
            LEFT + WIDTH
        );
        let _ = write!(
            out,
            "<text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>",
            LEFT - 6.0,
            y + 3.5
        );
    }
    for (at, tick) in x_axis.1 {
        let _ = write!(
            out,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{tick}</text>",
            x(*at),
            TOP + HEIGHT + 17.0
        );
    }
    out.push_str(marks);
    let _ = write!(
        out,
        "<text class=\"axis\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text></svg>",
        LEFT + WIDTH / 2.0,
        h - 4.0,
        x_axis.0
    );
    out
}

fn x(share: f64) -> f64 {
    LEFT + share * WIDTH
}

fn y(share: f64) -> f64 {
    TOP + (1.0 - share) * HEIGHT
}

/// Good above the line and bad below it would hide overlaps: both stand on the axis, half transparent.
pub(super) fn histogram(set: &SetFigures) -> String {
    let share = |bars: &[usize; HISTOGRAM_BARS], total: usize| {
        bars.map(|n| if total == 0 { 0.0 } else { n as f64 / total as f64 })
    };
    let good = share(&set.histogram_of_good, set.good);
    let bad = share(&set.histogram_of_bad, set.bad);
    let tallest = good.iter().chain(&bad).copied().fold(0.01, f64::max);
    let mut marks = String::new();
    for (class, bars) in [("good", good), ("bad", bad)] {
        for (n, share) in bars.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let (left, step) = (x(n as f64 / HISTOGRAM_BARS as f64), WIDTH / HISTOGRAM_BARS as f64);
            let height = share / tallest * HEIGHT;
            let _ = write!(
                marks,
                "<rect class=\"bar {class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\" rx=\"1\"><title>{:.1}% of the {class} items have Q from {} to {}</title></rect>",
                left + 0.75,
                TOP + HEIGHT - height,
                step - 1.5,
                share * 100.0,
                n * 5,
                n * 5 + 5,
            );
        }
    }
    for border in VERDICT_BORDERS {
        let _ = write!(
            marks,
            "<line class=\"border\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{1}\"/>",
            x(border),
            TOP + HEIGHT
        );
    }
    let ticks = [0.0, 0.5, 1.0].map(|s| (s, format!("{:.0}%", s * tallest * 100.0)));
    let x_ticks = [(0.0, "0"), (0.5, "50"), (0.8, "80"), (1.0, "100")];
    chart("Q by label", ("Q-Score (dashed: verdict changes)", &x_ticks), &ticks, &marks)
}

pub(super) fn roc(set: &SetFigures) -> String {
    let mut marks = diagonal();
    let mut path = String::new();
    for (n, point) in set.roc.iter().enumerate() {
        let _ = write!(
            path,
            "{}{:.1},{:.1}",
            if n == 0 { "M" } else { "L" },
            x(point.bad_passed),
            y(point.good_passed)
        );
    }
    if set.roc.is_empty() {
        let _ = write!(
            marks,
            "<text class=\"axis\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">needs both labels</text>",
            x(0.5),
            y(0.5) + 4.0
        );
    } else {
        let _ = write!(
            marks,
            "<path class=\"area\" d=\"{path}L{:.1},{:.1}Z\"/><path class=\"curve\" d=\"{path}\"/>",
            x(1.0),
            y(0.0)
        );
    }
    // Where the verdicts put the judge: the share of each label at WAG or above.
    if let (Some(good), Some(bad)) = (set.good_flagged, set.bad_flagged) {
        let _ = write!(
            marks,
            "<circle class=\"point\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"><title>at Q = 50: {:.1}% of good and {:.1}% of bad items pass</title></circle>",
            x(1.0 - bad),
            y(1.0 - good),
            (1.0 - good) * 100.0,
            (1.0 - bad) * 100.0,
        );
    }
    chart("ROC curve", ("bad items passed (dot: Q = 50)", &QUARTERS), &percents(), &marks)
}

/// Share good by Q, where the diagonal would make Q the chance of being good in percent.
pub(super) fn good_by_q(set: &SetFigures) -> String {
    let marks = diagonal() + &bins(&set.good_by_q, 100.0, "good items, mean Q");
    let x_ticks = [(0.0, "0"), (0.25, "25"), (0.5, "50"), (0.75, "75"), (1.0, "100")];
    chart("share of good items by Q", ("Q-Score", &x_ticks), &percents(), &marks)
}

/// Share judged right by confidence; it should rise.
pub(super) fn right_by_confidence(set: &SetFigures) -> String {
    /// The axis ends just above φ⁻¹, which no confidence exceeds.
    const AXIS_MAX: f64 = 0.65;
    let marks = bins(&set.right_by_confidence, AXIS_MAX, "judged right, mean confidence");
    let x_ticks =
        [(0.0, "0"), (0.2 / AXIS_MAX, ".2"), (0.4 / AXIS_MAX, ".4"), (0.6 / AXIS_MAX, ".6")];
    chart("share judged right by confidence", ("confidence", &x_ticks), &percents(), &marks)
}

const QUARTERS: [(f64, &str); 5] =
    [(0.0, "0%"), (0.25, "25%"), (0.5, "50%"), (0.75, "75%"), (1.0, "100%")];

fn percents() -> [(f64, String); 5] {
    QUARTERS.map(|(at, tick)| (at, tick.to_owned()))
}

fn diagonal() -> String {
    format!(
        "<line class=\"border\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        x(0.0),
        y(0.0),
        x(1.0),
        y(1.0)
    )
}

/// Dots joined by a line; a dot's area grows with its items.
fn bins(bins: &[Bin], axis_max: f64, what: &str) -> String {
    let most = bins.iter().map(|b| b.items).max().unwrap_or(1) as f64;
    let mut line = String::new();
    let mut dots = String::new();
    for (n, bin) in bins.iter().enumerate() {
        let (cx, cy) = (x(bin.mean / axis_max), y(bin.share));
        let _ = write!(line, "{}{cx:.1},{cy:.1}", if n == 0 { "M" } else { "L" });
        let radius = 2.0 + 3.0 * (bin.items as f64 / most).sqrt();
        let _ = write!(
            dots,
            "<circle class=\"point\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"{radius:.1}\"><title>{:.1}% {what} {:.2}, {} items</title></circle>",
            bin.share * 100.0,
            bin.mean,
            bin.items,
        );
    }
    format!("<path class=\"curve\" d=\"{line}\"/>{dots}")
}

/// The correlation matrix, with the dimensions' names on the left and their axioms along the bottom.
pub(super) fn correlations(matrix: &[Vec<Option<f64>>]) -> String {
    const CELL: f64 = 17.0;
    const NAMES: f64 = 128.0;
    let side = CELL * JUDGED_DIMENSIONS as f64;
    let (w, h) = (NAMES + side + 4.0, side + 26.0);
    let mut out = format!(
        "<svg viewBox=\"0 0 {w} {h}\" role=\"img\" aria-label=\"correlation of dimensions\">"
    );
    for (row, line) in matrix.iter().enumerate() {
        let top = row as f64 * CELL;
        let name = Dimension::ALL[row].name();
        let _ = write!(
            out,
            "<text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            NAMES - 6.0,
            top + CELL / 2.0 + 3.5
        );
        for (column, r) in line.iter().enumerate().take(row + 1) {
            let other = Dimension::ALL[column].name();
            let (class, opacity, title) = match r {
                None => ("none", 1.0, "does not move".to_owned()),
                Some(r) if *r < 0.0 => ("bad", -r, format!("{r:.2}")),
                Some(r) => ("good", *r, format!("{r:.2}")),
            };
            let left = NAMES + column as f64 * CELL;
            let _ = write!(
                out,
                "<rect class=\"cell {class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{0}\" height=\"{0}\" fill-opacity=\"{opacity:.2}\"><title>{name} and {other}: {title}</title></rect>",
                CELL - 1.0,
            );
        }
    }
    for (n, axiom) in Axiom::ALL.into_iter().enumerate() {
        let middle = NAMES + (n as f64 + 0.5) * 7.0 * CELL;
        let _ = write!(
            out,
            "<text class=\"axis\" x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">{axiom}</text>",
            side + 18.0
        );
    }
    out.push_str("</svg>");
    out
}

/// Verdicts of one label as one bar of four parts.
pub(super) fn verdict_bar(counts: &crate::evaluation::Verdicts) -> String {
    let total = counts.total().max(1) as f64;
    let mut out = String::from(
        "<svg class=\"strip\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"verdicts\">",
    );
    let mut left = 0.0;
    for (verdict, count) in cynic_proto::model::Verdict::ALL.into_iter().zip(counts.0) {
        let width = count as f64 / total * 100.0;
        let _ = write!(
            out,
            "<rect class=\"{}\" x=\"{left:.2}\" y=\"0\" width=\"{width:.2}\" height=\"8\"><title>{verdict}: {count} ({width:.1}%)</title></rect>",
            verdict.name().to_lowercase(),
        );
        left += width;
    }
    out.push_str("</svg>");
    out
}
