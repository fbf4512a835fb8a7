//! The table of gates as a person reads it.

use std::fmt::{Formatter, Result};

use super::{Bound, Gate, Gates, Outcome, Unit};

pub(super) fn write(gates: &Gates, f: &mut Formatter<'_>) -> Result {
    for note in &gates.notes {
        writeln!(f, "{note}")?;
    }
    let head = ["gate", "figure", "bar", "stretch", "", ""].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(gates.gates.iter().map(row)).collect();
    let width = |c: usize| rows.iter().map(|row| row[c].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    writeln!(f)?;
    for row in &rows {
        let [what, figure, bar, stretch, outcome, note] = row;
        let line = format!(
            "{what:<0$}  {figure:>1$}  {bar:>2$}  {stretch:>3$}  {outcome:<4$}  {note}",
            widths[0], widths[1], widths[2], widths[3], widths[4],
        );
        writeln!(f, "{}", line.trim_end())?;
    }
    let missed = gates.missed().count();
    let barred = gates.gates.iter().filter(|gate| gate.bar.is_some()).count();
    let stretched = gates.gates.iter().filter(|gate| gate.outcome() == Outcome::Stretch).count();
    writeln!(f)?;
    if missed > 0 {
        writeln!(f, "{missed} of {barred} bars missed:")?;
        for gate in gates.missed() {
            writeln!(f, "  {}", gate.what)?;
        }
    }
    writeln!(f, "{} passed, {missed} failed", barred - missed)?;
    writeln!(f, "({stretched} reach their stretch)")
}

fn row(gate: &Gate) -> [String; 6] {
    let outcome = match gate.outcome() {
        Outcome::Miss => "MISS",
        Outcome::Pass => "pass",
        Outcome::Stretch => "pass +",
        Outcome::Shown => "",
    };
    [
        gate.what.clone(),
        gate.figure.map_or_else(|| "n/a".into(), |figure| number(figure, gate.unit)),
        gate.bar.map(|bar| bound(bar, gate.unit)).unwrap_or_default(),
        gate.stretch.map(|stretch| bound(stretch, gate.unit)).unwrap_or_default(),
        outcome.into(),
        gate.note.clone(),
    ]
}

fn number(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Ratio => format!("{value:.3}"),
        Unit::Percent => format!("{:.1}%", value * 100.0),
        Unit::Points => format!("{value:.1}"),
        Unit::Count => format!("{value:.0}"),
        Unit::Micros => format!("{value:.1} µs"),
    }
}

fn bound(bound: Bound, unit: Unit) -> String {
    match bound {
        Bound::AtLeast(limit) => format!("≥ {}", number(limit, unit)),
        Bound::AtMost(limit) => format!("≤ {}", number(limit, unit)),
        Bound::Above(limit) => format!("> {}", number(limit, unit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_bar_is_named_again_at_the_end() {
        let gates = Gates {
            notes: vec!["how".into()],
            gates: vec![
                Gate::new("first", Unit::Ratio, 0.9).at_least(0.5, 0.8).note("n 3"),
                Gate::new("second", Unit::Percent, 0.25).at_most(0.1, None),
            ],
            evaluation: None,
        };
        let expected = "\
how

gate    figure      bar  stretch
first    0.900  ≥ 0.500  ≥ 0.800  pass +  n 3
second   25.0%  ≤ 10.0%           MISS

1 of 2 bars missed:
  second
1 passed, 1 failed
(1 reach their stretch)
";
        assert_eq!(gates.to_string(), expected);
    }
}
