//! Whose tasks kill workers lets others go first.

use super::*;

#[test]
fn who_kills_workers_is_tried_again_when_nobody_else_waits() {
    let mut bench = Bench::new(1);
    let (mut worker, ..) = lease(&bench.submit(1));
    for task in [2, 3] {
        let _ = bench.submit_to(task, 2, Lane::Interactive);
    }
    let effects = bench.die(worker);
    let [next] = spawned(&effects)[..] else { panic!("{effects:?}") };
    let mut effects = bench.feed(Event::Ready(next));
    for good in [2, 3] {
        let (worker, nonce, tasks) = lease(&effects);
        assert_eq!(tasks, [good], "before what is tried again");
        effects = bench.feed(done(worker, nonce, good));
    }
    let (used, _, tasks) = lease(&effects);
    worker = used;
    assert_eq!(tasks, [1]);
    // Alone, and in a fresh worker: now the others' new work goes before it.
    let _ = bench.submit_to(4, 2, Lane::Bulk);
    let effects = bench.die(worker);
    let [fresh] = spawned(&effects)[..] else { panic!("{effects:?}") };
    let (fresh, nonce, tasks) = lease(&bench.feed(Event::Ready(fresh)));
    assert_eq!(tasks, [4]);
    let effects = bench.feed(done(fresh, nonce, 4));
    assert!(effects.contains(&Effect::Stop(fresh)), "it has done something else: {effects:?}");
}

#[test]
fn a_fresh_worker_is_for_the_task_that_it_was_called_for_though_its_client_pauses() {
    const PAUSE_OVER: Duration = Duration::from_millis(6);
    let mut bench = Bench::new(2);
    let mut worker = lease(&bench.submit(1)).0;
    let other = lease(&bench.submit(2)).0;
    for good in 10..14 {
        assert_eq!(bench.submit_to(good, 2, Lane::Interactive), []);
    }
    for good in [10, 11] {
        let effects = bench.die(worker);
        let [fresh] = spawned(&effects)[..] else { panic!("{effects:?}") };
        let (fresh, nonce, tasks) = lease(&bench.feed(Event::Ready(fresh)));
        assert_eq!(tasks, [good]);
        let _ = bench.wait(PAUSE_OVER);
        let effects = bench.feed(done(fresh, nonce, good));
        if good == 10 {
            worker = lease(&effects).0;
            assert_eq!(lease(&effects).2, [1], "the second time");
        } else {
            assert!(effects.contains(&Effect::Stop(fresh)), "alone in a fresh one: {effects:?}");
        }
    }
    let effects = bench.die(other);
    let [fresh] = spawned(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(lease(&bench.feed(Event::Ready(fresh))).2, [1]);
}

#[test]
fn who_waits_too_long_is_told_that_workers_died_over_its_clients_tasks() {
    const QUEUE_TIMEOUT: Duration = Duration::from_millis(50);
    const NEARLY: Duration = Duration::from_millis(49);
    const REST: Duration = Duration::from_millis(1);
    let size = NonZeroU16::MIN;
    let config = Config { size, queue_timeout: QUEUE_TIMEOUT, ..Config::default() };
    let mut bench = Bench::with(config);
    let (worker, ..) = lease(&bench.submit(1));
    for (task, client) in [(2, 1), (3, 2)] {
        assert_eq!(bench.submit_to(task, client, Lane::Interactive), []);
    }
    assert_eq!(bench.wait(NEARLY), []);
    let _ = bench.die(worker);
    // Those that never ran have waited from the start; the one that was tried waits anew.
    let told = bench.wait(REST);
    let errors = told.iter().filter_map(|effect| match effect {
        Effect::Fail { task, error } => Some((task.0, error.kind, error.message.as_str())),
        _ => None,
    });
    let [(2, ErrorKind::QueueTimeout, own), (3, ErrorKind::QueueTimeout, other)] =
        errors.collect::<Vec<_>>()[..]
    else {
        panic!("{told:?}");
    };
    assert!(own.contains("50 ms in the queue") && own.contains("others go first"), "{own}");
    assert!(!other.contains("others go first"), "{other}");
    let told = bench.wait(QUEUE_TIMEOUT);
    let errors = told.iter().filter_map(|effect| match effect {
        Effect::Fail { task: TaskId(1), error } => Some((error.kind, error)),
        _ => None,
    });
    let [(ErrorKind::QueueTimeout, error)] = errors.collect::<Vec<_>>()[..] else {
        panic!("{told:?}");
    };
    assert!(error.message.contains("workers that died over it: 1"), "{}", error.message);
    assert_eq!(error.deaths.len(), 1, "with the death");
}
