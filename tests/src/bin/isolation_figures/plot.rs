//! A picture of figures over time: panels one above the other, in SVG.

use std::fmt::Write as _;

const WIDTH: f64 = 860.0;
const PANEL_HEIGHT: f64 = 130.0;
const LEFT: f64 = 90.0;
const TOP: f64 = 46.0;
const GAP: f64 = 44.0;

/// One figure over time.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) color: &'static str,
    /// Seconds and values.
    pub(crate) points: Vec<(f64, f64)>,
}

/// The picture. Each panel's scale begins at zero, so that flat looks flat.
pub(crate) fn svg(title: &str, panels: &[Panel]) -> String {
    let height = TOP + panels.len() as f64 * (PANEL_HEIGHT + GAP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{title}</text>\n",
        LEFT + WIDTH + 20.0
    );
    for (n, panel) in panels.iter().enumerate() {
        draw(&mut out, panel, TOP + n as f64 * (PANEL_HEIGHT + GAP));
    }
    out + "</svg>\n"
}

fn draw(out: &mut String, panel: &Panel, top: f64) {
    let end = panel.points.last().map_or(1.0, |point| point.0).max(1e-9);
    let most = panel.points.iter().map(|point| point.1).fold(1e-9, f64::max) * 1.1;
    let bottom = top + PANEL_HEIGHT;
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{}\" fill=\"{}\">{}</text>\n\
         <rect x=\"{LEFT}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{PANEL_HEIGHT}\" fill=\"none\" stroke=\"#bbb\"/>",
        top - 5.0,
        panel.color,
        panel.title
    );
    for part in 0..=2 {
        let (share, y) = (f64::from(part) / 2.0, bottom - PANEL_HEIGHT * f64::from(part) / 2.0);
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{:.0}</text>",
            LEFT - 6.0,
            y + 4.0,
            most * share
        );
    }
    for part in 0..=4 {
        let share = f64::from(part) / 4.0;
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{:.0} s</text>",
            LEFT + WIDTH * share,
            bottom + 15.0,
            end * share
        );
    }
    let points: Vec<String> = panel
        .points
        .iter()
        .map(|(x, y)| {
            format!("{:.1},{:.1}", LEFT + WIDTH * x / end, bottom - PANEL_HEIGHT * y / most)
        })
        .collect();
    let (color, points) = (panel.color, points.join(" "));
    let _ = writeln!(out, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{color}\"/>");
}
