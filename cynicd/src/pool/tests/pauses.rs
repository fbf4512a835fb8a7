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
