//! One step's figures and the line that shows them.

use std::time::{Duration, Instant};

use cynic_tests::load::quantile;
use cynic_tests::procfs;

/// What the plan says of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Estimate {
    pub(crate) latency_ms: Option<f64>,
    pub(crate) per_s: f64,
    /// The share of all cores in use.
    pub(crate) cpu: Option<f64>,
}

/// What was measured of a step.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) latencies: Vec<Duration>,
    pub(crate) took: Duration,
    pub(crate) round_trips: f64,
    /// Processor seconds of all processes that took part.
    pub(crate) cpu_s: f64,
    pub(crate) estimate: Option<Estimate>,
}

impl Step {
    pub(crate) fn header() -> String {
        format!(
            "{:<32}{:>13}{:>7}{:>13}{:>7}{:>7}{:>10}",
            "STEP", "P50 ms", "P99", "JUDGED/S", "GAIN", "TRIPS", "CPU"
        )
    }

    pub(crate) fn per_s(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn line(mut self, gain: f64, cores: usize) -> String {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (per_s, cpu) = (self.per_s(), self.cpu_s / self.took.as_secs_f64() / cores as f64);
        let p50 = ms(quantile(&mut self.latencies, 0.5));
        let p99 = ms(quantile(&mut self.latencies, 0.99));
        let guess = |of: fn(Estimate) -> Option<f64>| {
            let value = self.estimate.and_then(of);
            value.map(|value| format!(" ({value})")).unwrap_or_default()
        };
        let trips = self.round_trips;
        let cpu_guess = guess(|e| e.cpu.map(|cpu| (cpu * 100.0).round()));
        format!(
            "{:<32}{:>13}{p99:>7.1}{:>13}{:>7}{trips:>7.2}{:>10}",
            self.name,
            format!("{p50:.1}{}", guess(|e| e.latency_ms)),
            format!("{per_s:.1}{}", guess(|e| Some(e.per_s))),
            format!("×{gain:.1}"),
            format!("{:.0}%{cpu_guess}", cpu * 100.0),
        )
    }
}

/// Does one judgment after another for a while and times each.
pub(crate) fn timed(time: Duration, mut judgment: impl FnMut()) -> (Vec<Duration>, Duration, f64) {
    let (began, cpu) = (Instant::now(), procfs::cpu_s(std::process::id()));
    let mut latencies = Vec::new();
    while began.elapsed() < time {
        let start = Instant::now();
        judgment();
        latencies.push(start.elapsed());
    }
    (latencies, began.elapsed(), procfs::cpu_s(std::process::id()) - cpu)
}
