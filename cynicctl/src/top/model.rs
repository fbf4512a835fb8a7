//! What `top` shows: the last figures, what changed between them, and what the user has chosen to see.
//!
//! Pure: figures and keys in, state out.

use std::collections::VecDeque;

use cynic_proto::stats::{Stats, WorkerStats};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Points of a sparkline that are kept: as many as the widest screen shows.
const POINTS_MAX: usize = 256;

/// A key that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    Pause,
    Sort,
    Up,
    Down,
    Detail,
    Back,
}

impl Key {
    pub(super) fn of(event: KeyEvent) -> Option<Key> {
        if event.code == KeyCode::Char('c') && event.modifiers.contains(KeyModifiers::CONTROL) {
            return Some(Key::Quit);
        }
        match event.code {
            KeyCode::Char('q') => Some(Key::Quit),
            KeyCode::Char('p' | ' ') => Some(Key::Pause),
            KeyCode::Char('s') => Some(Key::Sort),
            KeyCode::Char('k') | KeyCode::Up => Some(Key::Up),
            KeyCode::Char('j') | KeyCode::Down => Some(Key::Down),
            KeyCode::Enter => Some(Key::Detail),
            KeyCode::Esc => Some(Key::Back),
            _ => None,
        }
    }
}

/// Whether to go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    Quit,
}

/// By what workers are sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Slot,
    Tasks,
    Memory,
    State,
}

impl Sort {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Sort::Slot => "slot",
            Sort::Tasks => "tasks",
            Sort::Memory => "memory",
            Sort::State => "state",
        }
    }

    const fn next(self) -> Sort {
        match self {
            Sort::Slot => Sort::Tasks,
            Sort::Tasks => Sort::Memory,
            Sort::Memory => Sort::State,
            Sort::State => Sort::Slot,
        }
    }
}

/// What happened in the last second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) answered: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
    pub(super) stored: u64,
}

/// The state of the screen.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) stats: Stats,
    pub(super) rates: Rates,
    /// Answers in each second, the newest last.
    pub(super) answered: VecDeque<u64>,
    /// Mean time to an answer in each second, in microseconds.
    pub(super) latency_us: VecDeque<u64>,
    pub(super) paused: bool,
    pub(super) sort: Sort,
    pub(super) detail: bool,
    /// The slot of the chosen worker.
    pub(super) chosen: u16,
    /// Why there are no new figures.
    pub(super) lost: Option<String>,
}

impl Model {
    pub(super) fn new(stats: Stats) -> Model {
        Model {
            stats,
            rates: Rates::default(),
            answered: VecDeque::new(),
            latency_us: VecDeque::new(),
            paused: false,
            sort: Sort::default(),
            detail: false,
            chosen: 0,
            lost: None,
        }
    }

    /// Takes in new figures. While paused they are not shown.
    pub(super) fn update(&mut self, stats: Stats) {
        self.lost = None;
        if self.paused {
            return;
        }
        let old = &self.stats;
        // Another daemon counts from zero again.
        if old.pid != stats.pid {
            *self = Model { sort: self.sort, chosen: self.chosen, ..Model::new(stats) };
            return;
        }
        let sum = |counts: &std::collections::BTreeMap<String, u64>| counts.values().sum::<u64>();
        self.rates = Rates {
            answered: stats.pool.tasks_processed.saturating_sub(old.pool.tasks_processed),
            refused: sum(&stats.pool.rejects).saturating_sub(sum(&old.pool.rejects)),
            failed: sum(&stats.pool.failures).saturating_sub(sum(&old.pool.failures)),
            stored: stats.recorder.flushed.saturating_sub(old.recorder.flushed),
        };
        let total = |stats: &Stats| stats.latency.mean_us * stats.latency.count as f64;
        let answers = stats.latency.count.saturating_sub(old.latency.count);
        let mean = if answers == 0 { 0.0 } else { (total(&stats) - total(old)) / answers as f64 };
        push(&mut self.answered, self.rates.answered, POINTS_MAX);
        push(&mut self.latency_us, mean.max(0.0) as u64, POINTS_MAX);
        self.stats = stats;
    }

    /// There are no new figures.
    pub(super) fn lost(&mut self, why: String) {
        self.lost = Some(why);
    }

    pub(super) fn key(&mut self, key: Key) -> Next {
        match key {
            Key::Quit => return Next::Quit,
            Key::Back if self.detail => self.detail = false,
            Key::Back => {}
            Key::Pause => self.paused = !self.paused,
            Key::Sort => self.sort = self.sort.next(),
            Key::Detail => self.detail = !self.detail,
            Key::Up => self.choose(-1),
            Key::Down => self.choose(1),
        }
        Next::Stay
    }

    /// The workers in the chosen order.
    pub(super) fn workers(&self) -> Vec<&WorkerStats> {
        let mut workers: Vec<&WorkerStats> = self.stats.workers.iter().collect();
        workers.sort_by(|a, b| match self.sort {
            Sort::Slot => a.slot.cmp(&b.slot),
            Sort::Tasks => b.tasks.cmp(&a.tasks).then(a.slot.cmp(&b.slot)),
            Sort::Memory => b.memory_bytes.cmp(&a.memory_bytes).then(a.slot.cmp(&b.slot)),
            Sort::State => a.state.cmp(&b.state).then(a.slot.cmp(&b.slot)),
        });
        workers
    }

    /// Where the chosen worker is among [`Model::workers`].
    pub(super) fn chosen_place(&self) -> usize {
        self.workers().iter().position(|worker| worker.slot == self.chosen).unwrap_or(0)
    }

    fn choose(&mut self, step: isize) {
        let place = self.chosen_place().saturating_add_signed(step);
        let workers = self.workers();
        if let Some(worker) = workers.get(place.min(workers.len().saturating_sub(1))) {
            self.chosen = worker.slot;
        }
    }
}

fn push<T>(queue: &mut VecDeque<T>, value: T, max: usize) {
    if queue.len() == max {
        queue.pop_front();
    }
    queue.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(processed: u64, mean_us: f64) -> Stats {
        let mut stats = Stats { pid: 7, ..Stats::default() };
        stats.pool.tasks_processed = processed;
        stats.latency.count = processed;
        stats.latency.mean_us = mean_us;
        for (slot, tasks) in [(0, 5), (1, 9)] {
            stats.workers.push(WorkerStats { slot, tasks, ..WorkerStats::default() });
        }
        stats
    }

    #[test]
    fn rates_are_what_changed() {
        let mut model = Model::new(stats(100, 10.0));
        let next = stats(200, 20.0);
        model.update(next);
        assert_eq!(model.rates.answered, 100);
        // 200 × 20 − 100 × 10, over 100 answers.
        assert_eq!(model.latency_us, [30]);
    }

    #[test]
    fn another_daemon_starts_anew() {
        let mut model = Model::new(stats(100, 10.0));
        model.update(Stats { pid: 8, ..stats(3, 1.0) });
        assert_eq!((model.rates, model.answered.len()), (Rates::default(), 0));
    }

    #[test]
    fn a_paused_screen_stands_still() {
        let mut model = Model::new(stats(100, 10.0));
        model.key(Key::Pause);
        model.update(stats(200, 20.0));
        assert_eq!(model.stats.pool.tasks_processed, 100);
    }

    #[test]
    fn the_chosen_worker_stays_chosen_when_sorted() {
        let mut model = Model::new(stats(0, 0.0));
        model.key(Key::Down);
        model.key(Key::Sort);
        assert_eq!((model.chosen, model.chosen_place()), (1, 0));
        model.key(Key::Up);
        assert_eq!(model.chosen, 1, "it is the first already");
    }
}
