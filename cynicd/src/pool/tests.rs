//! What the pool decides, case by case.

mod pauses;
mod solo;
mod store;

use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use cynic_proto::error::{Death, DeathCause, ErrorKind};
use cynic_proto::ids::{TaskId, WorkerId};
use cynic_proto::message::Lane;

use super::*;

struct Bench {
    pool: Pool,
    now: Instant,
}

impl Bench {
    /// A pool of that size whose workers are ready.
    fn new(size: u16) -> Bench {
        Bench::with(Config { size: NonZeroU16::new(size).expect("positive"), ..Config::default() })
    }

    fn with(config: Config) -> Bench {
        let now = Instant::now();
        let mut bench = Bench { pool: Pool::new(config, 1, now), now };
        for effect in bench.feed(Event::Tick) {
            let Effect::Spawn(worker) = effect else { panic!("{effect:?}") };
            assert!(!bench.pool.is_ready());
            assert_eq!(bench.feed(Event::Ready(worker)), []);
        }
        assert!(bench.pool.is_ready());
        bench
    }

    fn feed(&mut self, event: Event) -> Effects {
        self.pool.handle(event, self.now)
    }

    fn submit(&mut self, task: u128) -> Effects {
        self.submit_to(task, 1, Lane::Interactive)
    }

    fn submit_to(&mut self, task: u128, client: u64, lane: Lane) -> Effects {
        self.submit_as(0, task, client, lane)
    }

    fn submit_as(&mut self, uid: u32, task: u128, client: u64, lane: Lane) -> Effects {
        let (task, client) = (TaskId(task), ClientId(client));
        let submission =
            Submission { task, client, uid, lane, bytes: 100, deadline: None, parked: false };
        self.feed(Event::Submit(submission))
    }

    /// A task that may have been judged before, of a client of its own.
    fn park(&mut self, task: u128) -> Effects {
        let (task, client, lane) = (TaskId(task), ClientId(task as u64), Lane::Interactive);
        let (uid, bytes, deadline, parked) = (0, 100, None, true);
        self.feed(Event::Submit(Submission { task, client, uid, lane, bytes, deadline, parked }))
    }

    fn die(&mut self, worker: WorkerId) -> Effects {
        self.die_of(DeathCause::Signal(11), worker)
    }

    fn die_of(&mut self, cause: DeathCause, worker: WorkerId) -> Effects {
        let death = Death {
            cause,
            worker,
            task: None,
            stage: None,
            dimension: None,
            stderr_tail: String::new(),
        };
        self.feed(Event::Died(Box::new(death)))
    }

    fn wait(&mut self, time: Duration) -> Effects {
        self.now += time;
        self.feed(Event::Tick)
    }
}

fn done(worker: WorkerId, nonce: u64, task: u128) -> Event {
    Event::Done { worker, nonce, task: TaskId(task), scored: Scored::default() }
}

fn lease(effects: &Effects) -> (WorkerId, u64, Vec<u128>) {
    let lease = effects.iter().find_map(|effect| match effect {
        Effect::Lease { worker, nonce, items, .. } => {
            Some((*worker, *nonce, items.iter().map(|(task, _)| task.0).collect()))
        }
        _ => None,
    });
    lease.unwrap_or_else(|| panic!("no lease in {effects:?}"))
}

fn failure(effects: &Effects) -> (u128, ErrorKind) {
    let failure = effects.iter().find_map(|effect| match effect {
        Effect::Fail { task, error } => Some((task.0, error.kind)),
        _ => None,
    });
    failure.unwrap_or_else(|| panic!("no failure in {effects:?}"))
}

fn spawned(effects: &Effects) -> Vec<WorkerId> {
    let spawn = |effect: &Effect| match effect {
        Effect::Spawn(worker) => Some(*worker),
        _ => None,
    };
    effects.iter().filter_map(spawn).collect()
}

#[test]
fn a_task_goes_to_an_idle_worker_and_its_answer_to_the_client() {
    let mut bench = Bench::new(1);
    let (worker, nonce, tasks) = lease(&bench.submit(7));
    assert_eq!(tasks, [7]);
    assert_eq!(bench.submit(8), [], "depth one: a busy worker gets nothing");
    let effects = bench.feed(done(worker, nonce, 7));
    let Effect::Deliver(delivery) = effects[0] else { panic!("{effects:?}") };
    assert_eq!((delivery.task, delivery.attempts), (TaskId(7), 1));
    assert_eq!(lease(&effects).2, [8]);
}

#[test]
fn a_task_that_kills_is_retried_then_alone_in_a_fresh_worker_then_given_up() {
    let mut bench = Bench::new(2);
    let (first, ..) = lease(&bench.submit(7));
    let effects = bench.die(first);
    let (second, _, tasks) = lease(&effects);
    assert_eq!(tasks, [7]);
    assert_ne!(second, first);
    let [fresh] = spawned(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(bench.feed(Event::Ready(fresh)), []);
    // The third try goes to a worker that has done nothing else.
    let (third, ..) = lease(&bench.die(second));
    assert_eq!(third, fresh);
    let effects = bench.die(third);
    let given_up = |effect: &Effect| matches!(effect, Effect::Quarantine(TaskId(7), deaths) if deaths.len() == 3);
    assert!(effects.iter().any(given_up), "{effects:?}");
    assert_eq!(failure(&effects), (7, ErrorKind::Quarantined));
    let Some(Effect::Fail { error, .. }) =
        effects.iter().find(|e| matches!(e, Effect::Fail { .. }))
    else {
        panic!("{effects:?}")
    };
    assert_eq!(error.deaths.len(), 3);
}

#[test]
fn a_task_whose_workers_are_killed_from_outside_is_not_to_blame_but_ends() {
    let mut bench = Bench::new(2);
    let mut effects = bench.submit(7);
    for attempt in 1..=8 {
        let (worker, ..) = lease(&effects);
        effects = bench.die_of(DeathCause::Signal(9), worker);
        assert!(!effects.iter().any(|e| matches!(e, Effect::Quarantine(..))), "{effects:?}");
        for fresh in spawned(&effects) {
            effects.extend(bench.feed(Event::Ready(fresh)));
        }
        let leased = effects.iter().any(|e| matches!(e, Effect::Lease { .. }));
        assert_eq!(leased, attempt < 8, "{effects:?}");
    }
    assert_eq!(failure(&effects), (7, ErrorKind::Unavailable));
}

#[test]
fn a_worker_that_comes_up_after_all_is_not_missing() {
    let mut bench = Bench::new(2);
    let mut worker = WorkerId { slot: 0, generation: 1 };
    for failures in 1..=3 {
        let effects = bench.die(worker);
        assert_eq!(bench.pool.workers_missing(bench.now), usize::from(failures == 3));
        let fresh =
            spawned(&effects).into_iter().chain(spawned(&bench.wait(Duration::from_secs(2))));
        worker = fresh.last().expect("a fresh worker");
    }
    assert_eq!(bench.feed(Event::Ready(worker)), []);
    assert_eq!(bench.pool.workers_missing(bench.now), 1, "it may end as the others did");
    let _ = bench.wait(Duration::from_secs(1));
    assert_eq!(bench.pool.workers_missing(bench.now), 0);
}

#[test]
fn a_pool_that_shrinks_before_it_was_ready_is_ready_without_what_it_lost() {
    let now = Instant::now();
    let size = |n| NonZeroU16::new(n).expect("positive");
    let mut bench =
        Bench { pool: Pool::new(Config { size: size(3), ..Config::default() }, 1, now), now };
    let workers = spawned(&bench.feed(Event::Tick));
    let _ = bench.feed(Event::Ready(workers[0]));
    let _ = bench.die(workers[2]);
    assert!(!bench.pool.is_ready());
    let smaller = Config { size: size(1), ..Config::default() };
    let _ = bench.feed(Event::Configure(Box::new(smaller)));
    assert!(bench.pool.is_ready());
}

#[test]
fn readiness_outlives_the_death_of_the_only_worker() {
    let mut bench = Bench::new(1);
    let (worker, ..) = lease(&bench.submit(7));
    let [fresh] = spawned(&bench.die(worker))[..] else { panic!() };
    assert!(bench.pool.is_ready(), "its replacement is there in milliseconds");
    let _ = bench.die(fresh);
    assert!(!bench.pool.is_ready(), "unless it does not come up");
}

#[test]
fn a_chunk_is_sized_by_whole_leases_and_is_smaller_beside_interactive_work() {
    let mut bench = Bench::new(1);
    let (worker, mut nonce, mut items) = lease(&bench.submit_to(1, 1, Lane::Bulk));
    for task in 100..300 {
        assert_eq!(bench.submit_to(task, 1, Lane::Bulk), []);
    }
    bench.pool.item_times = ItemTimes::all(Duration::from_micros(100));
    let mut sizes = Vec::new();
    for turn in 0..6 {
        match turn {
            3 => drop(bench.submit(2)),
            5 => bench.pool.interactive_at = bench.now.checked_sub(Duration::from_secs(1)),
            _ => {}
        }
        // All answers are seen at once, which says nothing about each of them.
        bench.now += Duration::from_micros(100) * items.len() as u32;
        let mut effects = Effects::new();
        for task in std::mem::take(&mut items) {
            effects = bench.feed(done(worker, nonce, task));
        }
        (_, nonce, items) = lease(&effects);
        sizes.push(items.len());
    }
    assert_eq!(sizes, [10, 10, 10, 1, 2, 10], "the fourth is the interactive task");
}

/// What the next two leases hold when thirty tasks of one client wait for two workers.
fn shared_out(chunk_bytes_max: usize, item_time: Duration) -> [usize; 2] {
    let size = NonZeroU16::new(2).expect("positive");
    let mut bench = Bench::with(Config { size, chunk_bytes_max, ..Config::default() });
    let (first, first_nonce, _) = lease(&bench.submit(1));
    let (second, second_nonce, _) = lease(&bench.submit(2));
    for task in 10..40 {
        assert_eq!(bench.submit(task), []);
    }
    bench.pool.item_times = ItemTimes::all(item_time);
    let (.., some) = lease(&bench.feed(done(first, first_nonce, 1)));
    let (.., others) = lease(&bench.feed(done(second, second_nonce, 2)));
    [some.len(), others.len()]
}

#[test]
fn what_one_client_asks_at_once_travels_in_small_chunks() {
    let (quick, slow) = (Duration::from_micros(1), Duration::from_micros(100));
    let ample = Config::default().chunk_bytes_max;
    assert_eq!(shared_out(ample, quick), [15, 7], "half of what waits, for each");
    assert_eq!(shared_out(ample, slow), [1, 1], "an eighth of a millisecond's worth");
    assert_eq!(shared_out(64 * 250, quick), [2, 2], "of a hundred bytes each");
}

#[test]
fn the_neighbours_of_a_culprit_in_a_chunk_go_on() {
    let mut bench = Bench::new(1);
    let (busy, nonce, _) = lease(&bench.submit(1));
    for task in [10, 11, 12] {
        assert_eq!(bench.submit_to(task, 1, Lane::Bulk), []);
    }
    bench.pool.item_times = ItemTimes::all(Duration::from_micros(1));
    let effects = bench.feed(done(busy, nonce, 1));
    let (worker, nonce, tasks) = lease(&effects);
    assert_eq!(tasks, [10, 11, 12]);
    let effects = bench.feed(done(worker, nonce, 10));
    assert!(matches!(effects[..], [Effect::Deliver(_)]));
    let [fresh] = spawned(&bench.die(worker))[..] else { panic!() };
    // The culprit goes first and alone; its neighbour has no mark against it.
    let (_, nonce, tasks) = lease(&bench.feed(Event::Ready(fresh)));
    assert_eq!(tasks, [11]);
    let effects = bench.feed(done(fresh, nonce, 11));
    assert_eq!(lease(&effects).2, [12]);
    assert_eq!(bench.pool.tasks[&TaskId(12)].strikes, 0);
}

#[test]
fn the_hard_deadline_kills_and_the_cause_is_the_deadline() {
    let mut bench = Bench::new(1);
    let (worker, ..) = lease(&bench.submit(7));
    let config = bench.pool.config();
    let deadline = config.hard_deadline + config.time_for(100);
    assert_eq!(bench.pool.next_timer(), Some(bench.now + deadline));
    assert_eq!(bench.wait(deadline), [Effect::Kill(worker)]);
    let effects = bench.die_of(DeathCause::Signal(9), worker);
    let report = effects.iter().find_map(|effect| match effect {
        Effect::Report(death, attempts) => Some((death, *attempts)),
        _ => None,
    });
    let (report, attempts) = report.expect("a death is reported");
    assert_eq!((&report.cause, report.task), (&DeathCause::Deadline, Some(TaskId(7))));
    assert_eq!(attempts, Some(1));
}

#[test]
fn a_valid_answer_counts_even_after_the_kill() {
    let mut bench = Bench::new(1);
    let (worker, nonce, _) = lease(&bench.submit(7));
    assert_eq!(bench.wait(Duration::from_secs(3)), [Effect::Kill(worker)]);
    let effects = bench.feed(done(worker, nonce, 7));
    assert!(matches!(effects[..], [Effect::Deliver(_)]), "{effects:?}");
    let effects = bench.die(worker);
    assert!(!effects.iter().any(|e| matches!(e, Effect::Fail { .. } | Effect::Lease { .. })));
}

#[test]
fn a_short_deadline_of_a_client_does_not_cost_a_worker() {
    let mut bench = Bench::new(1);
    let deadline = Some(Duration::from_millis(3));
    let (task, client, lane) = (TaskId(7), ClientId(1), Lane::Interactive);
    let effects = bench.feed(Event::Submit(Submission {
        task,
        client,
        uid: 0,
        lane,
        bytes: 1,
        deadline,
        parked: false,
    }));
    let (worker, nonce, _) = lease(&effects);
    let effects = bench.wait(Duration::from_millis(3));
    assert_eq!(failure(&effects), (7, ErrorKind::DeadlineExceeded));
    assert!(!effects.contains(&Effect::Kill(worker)));
    assert_eq!(
        bench.feed(Event::Done { worker, nonce, task, scored: Scored::default() }),
        [],
        "nobody waits for it"
    );
    assert_eq!(lease(&bench.submit(8)).0, worker);
}

#[test]
fn expired_work_is_not_started() {
    let mut bench = Bench::new(1);
    let (worker, nonce, _) = lease(&bench.submit(1));
    assert_eq!(bench.submit(2), []);
    bench.pool.config.hard_deadline = Duration::from_secs(100);
    let Some(State::Busy { lease }) = bench.pool.slots.get_mut(0).map(|s| &mut s.state) else {
        panic!()
    };
    lease.deadline += Duration::from_secs(100);
    let effects = bench.wait(bench.pool.config().queue_timeout);
    assert_eq!(failure(&effects), (2, ErrorKind::QueueTimeout));
    let effects = bench.feed(done(worker, nonce, 1));
    assert!(matches!(effects[..], [Effect::Deliver(_)]));
}

#[test]
fn the_queue_is_bounded_and_shared() {
    let mut bench = Bench::with(Config { queue_tasks_max: 8, ..Config::default() });
    let _ = lease(&bench.submit(1));
    let refused: Vec<_> = (2..20).filter(|task| !bench.submit(*task).is_empty()).collect();
    assert_eq!(refused, (6..20).collect::<Vec<_>>(), "one client has half of the queue");
    assert_eq!(bench.submit_to(30, 2, Lane::Interactive), [], "another has room");
    let effects = bench.submit(40);
    assert_eq!(failure(&effects), (40, ErrorKind::Busy));
    let Effect::Fail { error, .. } = &effects[0] else { panic!() };
    assert!(error.retry_after_ms.is_some_and(|ms| ms > 0));
}

#[test]
fn what_the_store_is_asked_about_has_its_place_and_its_time() {
    let mut bench = Bench::with(Config { queue_tasks_max: 4, ..Config::default() });
    for task in 1..=4 {
        assert_eq!(bench.park(task), [], "it waits though workers are idle");
    }
    assert_eq!(failure(&bench.park(5)), (5, ErrorKind::Busy));
    assert_eq!(bench.feed(Event::Known(TaskId(1))), []);
    assert_eq!(bench.park(6), [], "what is known has gone");
    assert_eq!(lease(&bench.feed(Event::Unpark(TaskId(2)))).2, [2]);
    assert_eq!(bench.feed(Event::Unpark(TaskId(2))), [], "once");
    assert_eq!(failure(&bench.feed(Event::Cancel(TaskId(3)))), (3, ErrorKind::Cancelled));
    let effects = bench.wait(bench.pool.config().queue_timeout);
    assert_eq!(
        failure(&effects),
        (4, ErrorKind::QueueTimeout),
        "the store is not waited for for ever"
    );
    assert_eq!(bench.pool.tasks_held(), 1, "the one that is leased");
}

#[test]
fn one_user_has_its_share_however_many_connections_it_makes() {
    let config = Config { tasks_per_uid_max: 6, bytes_per_uid_max: 500, ..Config::default() };
    let mut bench = Bench::with(config);
    let _ = lease(&bench.submit(1));
    let refused: Vec<_> =
        (2..9).filter(|n| !bench.submit_to(*n, *n as u64, Lane::Interactive).is_empty()).collect();
    assert_eq!(refused, [6, 7, 8], "five tasks of 100 bytes, the one at work included");
    assert_eq!(bench.submit_as(7, 30, 30, Lane::Bulk), [], "another user has room");
    let effects = bench.submit_to(40, 40, Lane::Interactive);
    assert_eq!(failure(&effects), (40, ErrorKind::Busy));
    assert_eq!(bench.pool.stats(bench.now).rejects.get("user_share"), Some(&4));
    let _ = bench.feed(Event::Cancel(TaskId(5)));
    assert_eq!(bench.submit_to(41, 41, Lane::Interactive), [], "what is over counts no more");
    // Bulk work leaves a part of the share to what the same user waits for.
    let bulk: Vec<_> =
        (50..59).filter(|n| bench.submit_as(9, *n, *n as u64, Lane::Bulk).is_empty()).collect();
    assert_eq!(bulk, [50, 51, 52], "three quarters of 500 bytes");
    assert_eq!(bench.submit_as(9, 60, 60, Lane::Interactive), []);
}

#[test]
fn a_worker_that_dies_at_birth_is_tried_again_with_pauses_and_the_pool_heals() {
    let mut bench = Bench::new(1);
    let worker = WorkerId { slot: 0, generation: 1 };
    let mut effects = bench.die(worker);
    let mut spawns = 0;
    let began = bench.now;
    while bench.now < began + Duration::from_secs(10) {
        if let [worker] = spawned(&effects)[..] {
            spawns += 1;
            effects = bench.die(worker);
        }
        let next = bench.pool.next_timer().expect("it goes on trying");
        assert!(next > bench.now, "no spinning");
        effects.extend(bench.wait(next - bench.now));
    }
    assert!((10..40).contains(&spawns), "{spawns} starts in ten seconds");
    assert!(!bench.pool.is_ready());
    assert_eq!(failure(&bench.submit(5)), (5, ErrorKind::Unavailable));
    // The cause is removed.
    let removed = bench.now;
    while spawned(&effects).is_empty() {
        let next = bench.pool.next_timer().expect("it goes on trying");
        effects = bench.wait(next - bench.now);
    }
    assert!(bench.now - removed < Duration::from_secs(1));
    assert_eq!(bench.feed(Event::Ready(spawned(&effects)[0])), []);
    assert!(bench.pool.is_ready());
}

#[test]
fn an_old_process_cannot_speak_for_its_successor() {
    let mut bench = Bench::new(1);
    let (old, nonce, _) = lease(&bench.submit(7));
    let [new] = spawned(&bench.die(old))[..] else { panic!() };
    let (again, ..) = lease(&bench.feed(Event::Ready(new)));
    assert_eq!(again, new);
    assert_eq!(bench.feed(done(old, nonce, 7)), []);
    assert_eq!(bench.die(old), []);
    assert_eq!(bench.pool.stats(bench.now).active_tasks, 1);
}

#[test]
fn a_surplus_answer_kills_its_worker_but_does_not_mark_the_next_task() {
    let mut bench = Bench::new(1);
    let (worker, nonce, _) = lease(&bench.submit(7));
    let done = done(worker, nonce, 7);
    assert!(matches!(bench.feed(done.clone())[..], [Effect::Deliver(_)]));
    let _ = lease(&bench.submit(8));
    assert_eq!(bench.feed(done), [Effect::Kill(worker)]);
    let [fresh] = spawned(&bench.die(worker))[..] else { panic!() };
    assert_eq!(lease(&bench.feed(Event::Ready(fresh))).2, [8]);
    assert_eq!(bench.pool.tasks[&TaskId(8)].strikes, 0);
}

#[test]
fn an_idle_worker_that_does_not_answer_is_replaced() {
    let mut bench = Bench::new(1);
    let worker = WorkerId { slot: 0, generation: 1 };
    let effects = bench.wait(bench.pool.config().heartbeat_interval);
    let [Effect::Ping { nonce, .. }] = effects[..] else { panic!("{effects:?}") };
    assert_eq!(bench.feed(Event::Pong { worker, nonce }), []);
    let effects = bench.wait(bench.pool.config().heartbeat_interval);
    assert!(matches!(effects[..], [Effect::Ping { .. }]));
    assert_eq!(bench.wait(bench.pool.config().heartbeat_timeout), [Effect::Kill(worker)]);
    assert_eq!(spawned(&bench.die(worker)).len(), 1, "it had come up well");
}

#[test]
fn idle_workers_that_fall_over_at_once_are_replaced_with_pauses() {
    let mut bench = Bench::new(1);
    let mut worker = WorkerId { slot: 0, generation: 1 };
    bench.now += Duration::from_secs(1);
    for _ in 0..3 {
        // Killed by somebody who goes through them one by one.
        let [next] = spawned(&bench.die_of(DeathCause::Signal(9), worker))[..] else { panic!() };
        worker = next;
        let _ = bench.feed(Event::Ready(worker));
        bench.now += Duration::from_secs(1);
    }
    let [worker] = spawned(&bench.die(worker))[..] else { panic!() };
    let _ = bench.feed(Event::Ready(worker));
    assert_eq!(spawned(&bench.die(worker)), [], "it stood for no time at all");
}

#[test]
fn a_client_with_much_gets_no_more_with_its_turn_than_one_with_less() {
    let mut bench = Bench::new(1);
    let (busy, nonce, _) = lease(&bench.submit(1));
    for task in 100..160 {
        let _ = bench.submit_to(task, 2, Lane::Bulk);
    }
    for task in 10..22 {
        let _ = bench.submit_to(task, 3, Lane::Bulk);
    }
    bench.pool.item_times = ItemTimes::all(Duration::from_nanos(1));
    let (worker, nonce, greedy) = lease(&bench.feed(done(busy, nonce, 1)));
    assert_eq!(greedy, (100..112).collect::<Vec<_>>());
    let mut effects = Effects::new();
    for task in greedy {
        effects = bench.feed(done(worker, nonce, task));
    }
    assert_eq!(lease(&effects).2, (10..22).collect::<Vec<_>>());
}

#[test]
fn workers_are_replaced_one_at_a_time() {
    let mut bench = Bench::new(3);
    let effects = bench.feed(Event::Restart);
    let [Effect::Stop(first)] = effects[..] else { panic!("{effects:?}") };
    assert_eq!(bench.wait(Duration::from_millis(1)), []);
    let [fresh] = spawned(&bench.die(first))[..] else { panic!() };
    let effects = bench.feed(Event::Ready(fresh));
    let [Effect::Stop(second)] = effects[..] else { panic!("{effects:?}") };
    assert_ne!(second, fresh);
    assert_eq!(bench.pool.stats(bench.now).recycled, 1);
}

#[test]
fn draining_finishes_what_was_accepted_and_takes_nothing_new() {
    let mut bench = Bench::new(1);
    let (worker, nonce, _) = lease(&bench.submit(1));
    assert_eq!(bench.submit(2), []);
    assert_eq!(bench.feed(Event::Drain), []);
    assert_eq!(failure(&bench.submit(3)), (3, ErrorKind::ShuttingDown));
    let effects = bench.feed(done(worker, nonce, 1));
    let (worker, nonce, _) = lease(&effects);
    let effects = bench.feed(done(worker, nonce, 2));
    assert_eq!(effects.last(), Some(&Effect::Drained));
    assert_eq!(bench.feed(Event::Shutdown), [Effect::Stop(worker)]);
    assert_eq!(bench.die(worker), [Effect::Stopped]);
}

/// Kills a worker while it scores VIGILANCE.
fn die_scoring(bench: &mut Bench, worker: WorkerId, cause: DeathCause) -> Effects {
    let dimension = Some(Dimension::Vigilance);
    let stage = Some(cynic_proto::model::Stage::Score);
    let stderr_tail = String::new();
    bench.feed(Event::Died(Box::new(Death {
        cause,
        worker,
        task: None,
        stage,
        dimension,
        stderr_tail,
    })))
}

/// Kills workers over fresh tasks until a dimension is left out; returns how many tasks that took, and what is
/// still to be done.
fn break_vigilance(
    bench: &mut Bench,
    cause: &DeathCause,
    tasks_max: u128,
) -> Option<(u128, Effects)> {
    for task in 1..=tasks_max {
        let mut effects = bench.submit(task);
        // Each task is tried to its end, and counts once.
        loop {
            if let Some(worker) = spawned(&effects).first().copied() {
                effects.extend(bench.feed(Event::Ready(worker)));
            }
            if effects.iter().any(|effect| matches!(effect, Effect::Dimension(..))) {
                return Some((task, effects));
            }
            let Some(Effect::Lease { worker, skip, .. }) =
                effects.iter().find(|effect| matches!(effect, Effect::Lease { .. }))
            else {
                break;
            };
            assert_eq!(*skip, 0);
            effects = die_scoring(bench, *worker, cause.clone());
        }
    }
    None
}

#[test]
fn a_dimension_that_kills_task_after_task_is_left_out_and_tried_again_with_one() {
    let mut bench = Bench::new(1);
    let broken = break_vigilance(&mut bench, &DeathCause::Signal(11), 20);
    let (tasks, mut effects) = broken.expect("left out");
    assert_eq!(tasks, u128::from(bench.pool.config.dimension_failures_max));
    let bit = 1 << Dimension::Vigilance as u32;
    let stats = bench.pool.stats(bench.now).dimensions;
    assert_eq!((stats.len(), stats[0].state.as_str()), (1, "open"));
    // What is waiting is tried without it.
    let leased = |effects: &Effects| {
        effects.iter().find_map(|effect| match effect {
            Effect::Lease { worker, nonce, items, skip } => {
                Some((*worker, *nonce, items[0].0, *skip))
            }
            _ => None,
        })
    };
    effects.extend(bench.submit(100));
    let mut scored = Vec::new();
    for _ in 0..10 {
        if let Some((worker, nonce, task, skip)) = leased(&effects) {
            scored.push(skip);
            let all = Scored { failed: 0, succeeded: !skip };
            effects = bench.feed(Event::Done { worker, nonce, task, scored: all });
        } else if let Some(worker) = spawned(&effects).first().copied() {
            effects = bench.feed(Event::Ready(worker));
        } else if bench.pool.tasks_held() == 0 {
            break;
        }
    }
    assert!(!scored.is_empty() && scored.iter().all(|skip| *skip == bit), "{scored:?}");
    // After the pause one task is scored whole, and closes it.
    bench.now += bench.pool.config.dimension_pause * 2;
    let (worker, nonce, task, skip) = leased(&bench.submit(101)).expect("a lease");
    assert_eq!(skip, 0);
    let effects = bench.feed(Event::Done {
        worker,
        nonce,
        task,
        scored: Scored { failed: 0, succeeded: !0 },
    });
    assert!(effects.contains(&Effect::Dimension(Dimension::Vigilance, BreakerChange::Closed)));
}

#[test]
fn kills_from_outside_are_no_dimensions_fault() {
    let mut bench = Bench::new(1);
    assert_eq!(break_vigilance(&mut bench, &DeathCause::Signal(9), 30), None);
}

#[test]
fn a_worn_workers_limit_is_not_the_tasks_fault() {
    let mut bench = Bench::new(2);
    let (worker, nonce, _) = lease(&bench.submit(7));
    let worn = bench.pool.config.recycle_memory_bytes + 1;
    let usage = |worker| Event::Usage { worker, memory_bytes: worn, cpu: Duration::ZERO };
    assert_eq!(bench.feed(usage(worker)), []);
    // Both workers are worn and one is being replaced: the other has to do.
    let effects = bench.feed(done(worker, nonce, 7));
    assert!(effects.contains(&Effect::Stop(worker)), "{effects:?}");
    let other = WorkerId { slot: 1 - worker.slot, generation: worker.generation };
    assert_eq!(bench.feed(usage(other)), []);
    let (leased, ..) = lease(&bench.submit(8));
    assert_eq!(leased, other);
    let _ = die_scoring(&mut bench, other, DeathCause::MemoryLimit);
    assert_eq!(bench.pool.tasks[&TaskId(8)].strikes, 0);
    assert_eq!(bench.pool.tasks[&TaskId(8)].deaths.len(), 1);
}

#[test]
fn a_worker_that_used_half_of_its_processor_time_is_replaced() {
    let mut bench = Bench::new(2);
    let worker = WorkerId { slot: 0, generation: 1 };
    let cpu = bench.pool.config.recycle_cpu + Duration::from_secs(1);
    let effects = bench.feed(Event::Usage { worker, memory_bytes: 0, cpu });
    assert_eq!(effects, [Effect::Stop(worker)]);
}

#[test]
fn tasks_with_an_item_that_was_given_up_are_answered_wherever_they_are() {
    let mut bench = Bench::new(1);
    let (worker, nonce, _) = lease(&bench.submit(7));
    assert_eq!(bench.submit(8), []);
    for task in [7, 8] {
        assert_eq!(failure(&bench.feed(Event::Condemn(TaskId(task)))).1, ErrorKind::Quarantined);
    }
    assert_eq!(bench.feed(Event::Condemn(TaskId(9))), [], "one that is over");
    // The worker's own answer comes to nothing.
    assert_eq!(bench.feed(done(worker, nonce, 7)), []);
}

#[test]
fn a_flood_of_bulk_work_leaves_room_for_interactive_work() {
    let mut bench = Bench::with(Config {
        size: NonZeroU16::MIN,
        queue_tasks_max: 8,
        chunk_items_max: 1,
        ..Config::default()
    });
    let mut waiting = 0;
    // Each by another client, so that none meets its own share.
    for n in 1..=20 {
        let _ = bench.submit_to(n, n as u64, Lane::Bulk);
        waiting = bench.pool.tasks_waiting;
    }
    assert_eq!(waiting, 6, "three quarters of the queue");
    let effects = bench.submit_to(21, 21, Lane::Interactive);
    assert_eq!(effects, [], "let in");
    assert_eq!(bench.pool.tasks_waiting, 7);
}
