//! What a bench found as one HTML page: inline style and pictures, no scripts, nothing from outside.

use std::fmt::Write as _;

use super::report::{Percentiles, Report, Run, Series};
use crate::text::{bytes, grouped, micros};
use crate::view::bench as view;

const STYLE: &str = include_str!("page.css");

/// Size of a picture's drawing area and the margins for its labels, in SVG units.
const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 12.0;
const RIGHT: f64 = 20.0;
const BOTTOM: f64 = 46.0;

/// A curve against load: the class that colours it, its name, and what it shows.
type Curve = (&'static str, &'static str, fn(&Percentiles) -> u64);

const CURVES: [Curve; 3] =
    [("a", "p50", |t| t.p50_us), ("b", "p99", |t| t.p99_us), ("c", "p99.9", |t| t.p999_us)];

/// The page.
pub(super) fn render(report: &Report) -> String {
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>CYNIC under load</title><style>{STYLE}</style></head><body><main><h1>CYNIC under load</h1>"
    );
    for line in
        [view::subject(report), view::setting(report), format!("items: {}", view::mix(report))]
    {
        let _ = write!(out, "<p>{}</p>", escaped(&line));
    }
    match report.series {
        Series::Sweep => latency_against_load(&mut out, &report.runs),
        Series::Workers => throughput_against_workers(&mut out, &report.runs),
        Series::Load => {}
    }
    for run in report.runs.iter().filter(|_| report.series == Series::Load) {
        percentiles(&mut out, run);
    }
    runs(&mut out, &report.runs);
    out.push_str("</main></body></html>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A value's place between two others, 0 to 1; on a logarithmic axis if asked for.
#[derive(Clone, Copy)]
struct Axis {
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        let scaled = |value: f64| if self.logarithmic { value.max(1e-9).log10() } else { value };
        let span = scaled(self.to) - scaled(self.from);
        if span > 0.0 { (scaled(value) - scaled(self.from)) / span } else { 0.5 }
    }

    /// From 0 to a little above the largest.
    fn linear(values: impl Iterator<Item = f64>) -> Axis {
        Axis { from: 0.0, to: values.fold(1e-9, f64::max) * 1.05, logarithmic: false }
    }

    /// Whole decades around the values.
    fn decades(values: impl Iterator<Item = f64> + Clone) -> Axis {
        let least = values.clone().fold(f64::MAX, f64::min).max(1.0);
        let most = values.fold(1.0, f64::max);
        let (from, to) = (least.log10().floor(), most.log10().ceil());
        Axis { from: 10f64.powf(from), to: 10f64.powf(to.max(from + 1.0)), logarithmic: true }
    }

    fn ticks(&self) -> Vec<f64> {
        if !self.logarithmic {
            return (0..=4)
                .map(|n| self.from + (self.to - self.from) * f64::from(n) / 4.0)
                .collect();
        }
        let decades = self.from.log10().round() as i32..=self.to.log10().round() as i32;
        decades.map(|exponent| 10f64.powi(exponent)).collect()
    }
}

fn x(share: f64) -> f64 {
    LEFT + share * WIDTH
}

fn y(share: f64) -> f64 {
    TOP + (1.0 - share) * HEIGHT
}

struct Chart {
    x_axis: (Axis, &'static str, fn(f64) -> String),
    y_axis: (Axis, fn(f64) -> String),
    marks: String,
}

impl Chart {
    fn curve(&mut self, class: &str, name: &str, points: &[(f64, f64)]) {
        let mut path = String::new();
        for (n, (from, to)) in points.iter().enumerate() {
            let (cx, cy) = (x(self.x_axis.0.at(*from)), y(self.y_axis.0.at(*to)));
            let _ = write!(path, "{}{cx:.1},{cy:.1}", if n == 0 { "M" } else { "L" });
        }
        let _ = write!(self.marks, "<path class=\"{class}\" d=\"{path}\"/>");
        for (from, to) in points.iter().filter(|_| class != "ideal") {
            let (cx, cy) = (x(self.x_axis.0.at(*from)), y(self.y_axis.0.at(*to)));
            let (from, to) = ((self.x_axis.2)(*from), (self.y_axis.1)(*to));
            let _ = write!(
                self.marks,
                "<circle class=\"{class}\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"4\"><title>{name} {to} at {from}</title></circle>"
            );
        }
    }

    fn draw(&self, out: &mut String) {
        let (w, h) = (LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM);
        let (x_axis, x_name, x_text) = self.x_axis;
        let (y_axis, y_text) = self.y_axis;
        let _ = write!(out, "<svg viewBox=\"0 0 {w} {h}\" role=\"img\">");
        for tick in y_axis.ticks() {
            let (at, right, text) = (y(y_axis.at(tick)), LEFT + WIDTH, y_text(tick));
            let _ = write!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 8.0,
                at + 4.0
            );
        }
        for tick in x_axis.ticks() {
            let (at, below, text) = (x(x_axis.at(tick)), TOP + HEIGHT + 18.0, x_text(tick));
            let _ = write!(
                out,
                "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{text}</text>"
            );
        }
        let _ = write!(
            out,
            "{}<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{x_name}</text></svg>",
            self.marks,
            LEFT + WIDTH / 2.0,
            h - 6.0
        );
    }
}

fn time(us: f64) -> String {
    micros(us)
}

fn latency_against_load(out: &mut String, runs: &[Run]) {
    let times = runs.iter().flat_map(|run| CURVES.map(|(_, _, of)| of(&run.latency) as f64));
    let rates = runs.iter().filter_map(|run| run.offered_per_s);
    let mut chart = Chart {
        x_axis: (Axis::linear(rates), "items offered a second", view::per_s),
        y_axis: (Axis::decades(times), time),
        marks: String::new(),
    };
    out.push_str("<h2>Latency against load</h2><div class=\"card\"><p class=\"key\">");
    for (class, name, of) in CURVES {
        let _ = write!(out, "<i class=\"{class}\"></i>{name}");
        let point = |run: &Run| Some((run.offered_per_s?, of(&run.latency) as f64));
        chart.curve(class, name, &runs.iter().filter_map(point).collect::<Vec<_>>());
    }
    out.push_str("</p>");
    chart.draw(out);
    out.push_str("</div>");
}

fn throughput_against_workers(out: &mut String, runs: &[Run]) {
    let Some(first) = runs.first() else { return };
    let points: Vec<(f64, f64)> =
        runs.iter().map(|run| (f64::from(run.workers), run.judged_per_s)).collect();
    let each = first.judged_per_s / f64::from(first.workers.max(1));
    let ideal: Vec<(f64, f64)> =
        points.iter().map(|(workers, _)| (*workers, workers * each)).collect();
    let mut chart = Chart {
        x_axis: (Axis::linear(points.iter().map(|p| p.0)), "workers", |n| format!("{n:.1}")),
        y_axis: (Axis::linear(points.iter().chain(&ideal).map(|p| p.1)), view::per_s),
        marks: String::new(),
    };
    chart.curve("ideal", "", &ideal);
    chart.curve("a", "judged a second:", &points);
    out.push_str("<h2>Throughput against workers</h2><div class=\"card\"><p class=\"key\"><i class=\"a\"></i>judged a second; dashed: as many times the first</p>");
    chart.draw(out);
    out.push_str("</div>");
}

/// One run's latency by percentile, as far as it was seen.
fn percentiles(out: &mut String, run: &Run) {
    let points = |t: &Percentiles| {
        [(50.0, t.p50_us), (90.0, t.p90_us), (99.0, t.p99_us), (99.9, t.p999_us)]
            .map(|(percentile, us)| (1.0 / (1.0 - percentile / 100.0), us as f64))
    };
    let all = points(&run.latency);
    let mut chart = Chart {
        x_axis: (Axis::decades([1.0, 1000.0].into_iter()), "percentile", |n| {
            format!("{}", (100.0 - 100.0 / n).clamp(0.0, 100.0))
        }),
        y_axis: (Axis::decades(all.iter().map(|p| p.1)), time),
        marks: String::new(),
    };
    chart.curve("a", "", &all);
    out.push_str("<h2>Latency by percentile</h2><div class=\"card\">");
    chart.draw(out);
    out.push_str("</div>");
}

fn runs(out: &mut String, all: &[Run]) {
    out.push_str("<h2>Figures</h2><div class=\"card\"><table><tr><th>workers<th>offered/s<th>judged/s<th>not judged<th>p50<th>p90<th>p99<th>p99.9<th>most<th>daemon CPU for 1000<th>workers<th>client<th>cores in use<th>daemon RSS</tr>");
    for run in all {
        let (time, cpu) = (&run.latency, &run.cpu_per_1000);
        let mut cells = vec![
            run.workers.to_string(),
            run.offered_per_s.map_or_else(|| "-".to_owned(), view::per_s),
            view::per_s(run.judged_per_s),
            grouped(run.lost()),
        ];
        let times = [time.p50_us, time.p90_us, time.p99_us, time.p999_us, time.max_us];
        cells.extend(times.map(|us| micros(us as f64)));
        cells.extend([cpu.daemon_s, cpu.workers_s, cpu.client_s].map(view::seconds));
        cells.push(view::share(run.cpu_share));
        cells.push(run.memory.daemon_rss.map_or_else(|| "-".to_owned(), bytes));
        let _ = write!(out, "<tr><td>{}</tr>", cells.join("<td>"));
    }
    out.push_str("</table></div>");
    for note in view::notes(all) {
        let _ = write!(out, "<p>note: {}</p>", escaped(&note));
    }
}
