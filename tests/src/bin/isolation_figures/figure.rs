//! A distribution of times, in one line.

use std::time::Duration;

use cynic_tests::load::quantile;

/// Median and 99th percentile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Figure {
    pub(crate) fn of(mut samples: Vec<Duration>) -> Figure {
        Figure { p50: quantile(&mut samples, 0.5), p99: quantile(&mut samples, 0.99) }
    }

    pub(crate) fn print(&self, name: &str) {
        println!("{name:<56} {:>8}us {:>8}us", self.p50.as_micros(), self.p99.as_micros());
    }
}

/// The headings of what [`Figure::print`] prints.
pub(crate) fn headings(title: &str) {
    println!("\n{title:<56} {:>10} {:>10}", "p50", "p99");
}
