//! What a task that is to be tried alone costs the others.

use super::*;

#[test]
fn a_worker_that_works_is_not_given_up_while_no_other_comes_up() {
    let mut bench = Bench::new(3);
    let leases: Vec<_> = (1..=3).map(|task| lease(&bench.submit(task))).collect();
    for (worker, nonce, tasks) in leases {
        let _ = bench.feed(done(worker, nonce, tasks[0]));
    }
    // From now on none comes up, and a task kills two of the three that are there.
    let mut effects = bench.submit(7);
    for _ in 0..2 {
        let (worker, ..) = lease(&effects);
        effects = bench.die(worker);
        for fresh in spawned(&effects) {
            assert_eq!(spawned(&bench.die(fresh)), [], "it pauses");
        }
    }
    let end = bench.now + bench.pool.config().queue_timeout;
    while bench.now < end {
        assert!(!effects.iter().any(|e| matches!(e, Effect::Stop(_))), "{effects:?}");
        for fresh in spawned(&effects) {
            effects.extend(bench.die(fresh));
        }
        let (worker, nonce, tasks) = lease(&bench.submit(8));
        assert_eq!(tasks, [8], "the third goes on");
        effects = bench.feed(done(worker, nonce, 8));
        let next = bench.pool.next_timer().expect("it goes on trying");
        effects.extend(bench.wait(next.saturating_duration_since(bench.now)));
    }
    assert_eq!(failure(&effects), (7, ErrorKind::QueueTimeout));
}
