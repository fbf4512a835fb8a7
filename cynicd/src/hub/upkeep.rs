//! What the hub does beside its work: feeds the service manager's watchdog, tells it how the daemon is, and
//! ends what takes time.

use std::time::{Duration, Instant};

use super::Hub;

/// What ending takes beyond draining and closing the store: workers that are killed, clients' last answers.
const STOP_MARGIN: Duration = Duration::from_secs(5);

impl Hub {
    /// When there is something to do if nothing happens before.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        let rolling = self.rolling.as_ref().map(|rolling| rolling.until);
        let beat = self.options.manager.next_beat();
        let unstored = self.recording.next_due();
        let timers = [self.pool.next_timer(), self.drain_until, beat, rolling, unstored];
        timers.into_iter().flatten().min()
    }

    /// Called once in each turn of the loop, so that the watchdog sees the dispatcher's own progress.
    pub(super) fn keep_up(&mut self, now: Instant) {
        self.end_rolling(now);
        self.quarantine.keep_up();
        if self.pool.is_ready() && !self.options.manager.is_ready() {
            let status = self.status();
            self.options.manager.ready(status);
        }
        if self.options.manager.next_beat().is_some_and(|at| at <= now) {
            let status = self.status();
            self.options.manager.beat(now, status);
        }
    }

    /// How long the daemon may take to end.
    pub(super) fn stop_budget(&self) -> Duration {
        // Once for what is to be stored before the last answers, once for closing.
        self.options.operations.config.drain_budget + self.options.close_budget * 2 + STOP_MARGIN
    }

    /// The daemon in one line for people.
    pub(super) fn status(&self) -> String {
        if !self.pool.is_ready() {
            return format!("not ready: {}", self.unready_reason());
        }
        let pool = self.pool.stats(Instant::now());
        let problems = self.degraded();
        let state = if problems.is_empty() { "ready" } else { "ready, degraded" };
        let mut status = format!(
            "{state}: {} of {} workers live; tasks: {} done, {} waiting",
            self.pool.workers_live(),
            pool.pool_size,
            pool.tasks_processed,
            pool.queue_length
        );
        for problem in problems {
            status.push_str("; ");
            status.push_str(&problem);
        }
        status
    }
}
