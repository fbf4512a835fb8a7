//! Runs the judge's stages and its scorers: contains panics, keeps budgets, writes the progress page.
//!
//! Never reads or writes the socket. What a scorer does wrong costs its own dimension and nothing else, short
//! of killing the process.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cynic_judge::{Analysis, Judge, Outcome, Panel, Scored, Scorer, ScorerFailure, item_id};
use cynic_proto::explanation;
use cynic_proto::item::Form;
use cynic_proto::judgment::FallbackReason;
use cynic_proto::model::{DIMENSIONS, Dimension, Stage};
use cynic_proto::worker::{self, Lease, SLOW_DIMENSION_US, Spent};
use tokio::runtime::Runtime;

use crate::progress::ProgressWriter;
use crate::session::SessionError;

/// A panic's message is kept up to this many bytes: the first line says what happened.
const PANIC_TEXT_BYTES_MAX: usize = 200;

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread, now, is contained and told in the item's judgment.
pub fn is_contained() -> bool {
    CONTAINED.get()
}

/// Why scorers cannot be hosted.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// No runtime for awaited scorers.
    #[error("could not start the runtime for awaited scorers")]
    Runtime(#[source] std::io::Error),
}

/// Judges items, one at a time.
#[derive(Debug)]
pub struct Host {
    judge: Judge,
    panel: Panel,
    progress: ProgressWriter,
    /// Only where the panel has awaited scorers.
    runtime: Option<Runtime>,
}

/// What came of one item, encoded as it is sent.
#[derive(Debug)]
pub struct Judged {
    /// The judgment, or why there is none.
    pub outcome: worker::Outcome,
    /// Why the judgment is what it is, by [`explanation::encode`]; empty otherwise.
    pub explanation: Vec<u8>,
    /// Where the time went.
    pub spent: Spent,
}

/// Measures the stages and the dimensions.
struct Stopwatch {
    last: Instant,
    spent: Spent,
}

impl Stopwatch {
    fn lap(&mut self, stage: Stage) {
        let now = Instant::now();
        self.spent.stages_us[stage as usize] = micros(now.duration_since(self.last));
        self.last = now;
    }

    fn dimension(&mut self, dimension: Dimension, took: Duration) {
        let took_us = micros(took);
        if took_us >= SLOW_DIMENSION_US {
            self.spent.slow_dimensions.push((dimension, took_us));
        }
    }
}

/// When scoring has to stop, and what it has to leave out.
#[derive(Clone, Copy)]
struct Limits {
    soft_budget: Duration,
    until: Instant,
    skip: u64,
}

impl Limits {
    fn skips(self, dimension: Dimension) -> bool {
        self.skip >> (dimension as usize) & 1 == 1
    }

    /// Whether a scorer that began then has spent the judgment's time by itself: more than half of it, and the
    /// rest is gone too. That one is to be named, not those that it left no time for.
    fn overran(self, began: Instant, now: Instant) -> bool {
        now >= self.until && now.duration_since(began) > self.soft_budget / 2
    }
}

impl Host {
    /// A host for a panel.
    ///
    /// # Errors
    /// The panel awaits something and no runtime could be started.
    pub fn new(judge: Judge, panel: Panel, progress: ProgressWriter) -> Result<Host, HostError> {
        let awaits = panel.iter().any(|(_, scorer)| matches!(scorer, Scorer::Awaited { .. }));
        let runtime = if awaits {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            Some(builder.enable_time().build().map_err(HostError::Runtime)?)
        } else {
            None
        };
        Ok(Host { judge, panel, progress, runtime })
    }

    /// Takes one item of a lease through the stages.
    ///
    /// # Errors
    /// The judgment could not be encoded. An item that cannot be judged is an outcome.
    pub fn judge(&mut self, lease: &Lease, n: usize, bytes: &[u8]) -> Result<Judged, SessionError> {
        let item = &lease.items[n];
        self.progress.task_started(item.task);
        let mut watch = Stopwatch { last: Instant::now(), spent: Spent::default() };
        let soft_budget = Duration::from_micros(u64::from(item.soft_budget_us));
        let until = watch.last + soft_budget;
        let limits = Limits { soft_budget, until, skip: lease.skip };

        self.progress.at(Stage::Parse, None);
        let parsed = match self.judge.parse(bytes, &item.hint) {
            Ok(parsed) => parsed,
            Err(error) => {
                watch.lap(Stage::Parse);
                self.progress.finished();
                let item_id = (item.hint.form == Form::Json).then(|| item_id(bytes)).flatten();
                let outcome = worker::Outcome::Rejected { error, item_id };
                return Ok(Judged { outcome, explanation: Vec::new(), spent: watch.spent });
            }
        };
        watch.lap(Stage::Parse);

        self.progress.at(Stage::Score, None);
        let analysis = Arc::new(self.judge.analyse(parsed));
        let outcomes = self.score(&analysis, limits, &mut watch);
        watch.lap(Stage::Score);

        self.progress.at(Stage::Aggregate, None);
        let ran_out = Outcome::FellBack(FallbackReason::OutOfTime);
        let partial = outcomes.contains(&ran_out);
        let aggregate = self.judge.aggregate(&analysis, outcomes);
        watch.lap(Stage::Aggregate);

        self.progress.at(Stage::Verdict, None);
        let (mut judgment, details) = self.judge.conclude(&analysis, aggregate);
        judgment.partial |= partial;
        let explanation = explanation::encode(&details)?;
        watch.lap(Stage::Verdict);
        self.progress.finished();
        let outcome = worker::Outcome::Judged(Box::new(judgment));
        Ok(Judged { outcome, explanation, spent: watch.spent })
    }

    fn score(
        &self,
        analysis: &Arc<Analysis>,
        limits: Limits,
        watch: &mut Stopwatch,
    ) -> [Outcome; DIMENSIONS] {
        let mut began = Instant::now();
        let mut outcomes = Dimension::ALL.map(|dimension| {
            let outcome = self.compute(analysis, dimension, limits, began);
            let now = Instant::now();
            watch.dimension(dimension, now.duration_since(began));
            let overran = matches!(outcome, Outcome::Scored(_)) && limits.overran(began, now);
            began = now;
            if overran { Outcome::FellBack(FallbackReason::Overran) } else { outcome }
        });
        if let Some(runtime) = &self.runtime {
            self.await_scorers(runtime, analysis, limits, watch, &mut outcomes);
        }
        outcomes
    }

    /// One computed dimension; an awaited one is left for [`Host::await_scorers`].
    fn compute(
        &self,
        analysis: &Analysis,
        dimension: Dimension,
        limits: Limits,
        now: Instant,
    ) -> Outcome {
        if limits.skips(dimension) {
            return Outcome::FellBack(FallbackReason::Skipped);
        }
        if now >= limits.until {
            return Outcome::FellBack(FallbackReason::OutOfTime);
        }
        self.progress.at(Stage::Score, Some(dimension));
        match self.panel.scorer(dimension) {
            Scorer::Builtin => contain(|| self.judge.score(analysis, dimension)),
            Scorer::Computed(scorer) => contain(|| checked(scorer(analysis))),
            Scorer::Awaited { .. } => Outcome::Derived,
        }
    }

    /// Runs the awaited scorers of one judgment concurrently, each within its own budget.
    fn await_scorers(
        &self,
        runtime: &Runtime,
        analysis: &Arc<Analysis>,
        limits: Limits,
        watch: &mut Stopwatch,
        outcomes: &mut [Outcome; DIMENSIONS],
    ) {
        let left = limits.until.saturating_duration_since(Instant::now());
        CONTAINED.set(true);
        runtime.block_on(async {
            let mut running = Vec::new();
            for (dimension, scorer) in self.panel.iter() {
                let Scorer::Awaited { budget, run } = scorer else { continue };
                if matches!(outcomes[dimension as usize], Outcome::FellBack(_)) {
                    continue;
                }
                self.progress.at(Stage::Score, Some(dimension));
                let (budget, cut_short) = ((*budget).min(left), left < *budget);
                let (run, analysis) = (Arc::clone(run), Arc::clone(analysis));
                let began = Instant::now();
                let task = tokio::spawn(async move {
                    let scored =
                        tokio::time::timeout(budget, async move { run(analysis).await }).await;
                    (scored, began.elapsed())
                });
                running.push((dimension, cut_short, task));
            }
            for (dimension, cut_short, task) in running {
                let awaited = task.await.map(|(scored, took)| {
                    watch.dimension(dimension, took);
                    scored
                });
                outcomes[dimension as usize] = settle(awaited, cut_short);
            }
        });
        CONTAINED.set(false);
    }
}

type Awaited = Result<
    Result<Result<Scored, ScorerFailure>, tokio::time::error::Elapsed>,
    tokio::task::JoinError,
>;

fn settle(awaited: Awaited, cut_short: bool) -> Outcome {
    match awaited {
        Ok(Ok(Ok(scored))) => checked(scored),
        Ok(Ok(Err(failure))) => Outcome::FellBack(FallbackReason::Failed(shorten(&failure.0))),
        Ok(Err(_)) if cut_short => Outcome::FellBack(FallbackReason::OutOfTime),
        Ok(Err(_)) => Outcome::FellBack(FallbackReason::Overran),
        Err(panic) => match panic.try_into_panic() {
            Ok(payload) => panicked(payload.as_ref()),
            Err(e) => Outcome::FellBack(FallbackReason::Failed(e.to_string())),
        },
    }
}

/// Runs a scorer; a panic in it becomes a fallback.
fn contain(scorer: impl FnOnce() -> Outcome) -> Outcome {
    CONTAINED.set(true);
    // A scorer only reads the analysis: nothing half-changed can be left behind.
    let outcome = catch_unwind(AssertUnwindSafe(scorer));
    CONTAINED.set(false);
    outcome.unwrap_or_else(|payload| panicked(payload.as_ref()))
}

fn panicked(payload: &(dyn Any + Send)) -> Outcome {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message");
    Outcome::FellBack(FallbackReason::Panicked(shorten(text)))
}

/// A score that is no number is a failure of its scorer; one out of range is clamped.
fn checked(mut scored: Scored) -> Outcome {
    if scored.score.is_nan() {
        return Outcome::FellBack(FallbackReason::Failed("the score is not a number".to_owned()));
    }
    scored.score = scored.score.clamp(0.0, 100.0);
    Outcome::Scored(scored)
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

fn shorten(text: &str) -> String {
    let end = text.floor_char_boundary(PANIC_TEXT_BYTES_MAX.min(text.len()));
    text[..end].to_owned()
}
