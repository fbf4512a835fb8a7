//! What becomes of work while the store falls behind.

use super::*;

#[test]
fn where_the_stores_room_is_scarce_half_of_the_workers_take_bulk_work() {
    let mut bench = Bench::new(2);
    bench.feed(Event::StoreRoom(Room::Scarce));
    let effects = bench.submit_to(1, 1, Lane::Bulk);
    assert!(matches!(effects[..], [Effect::Lease { .. }]), "{effects:?}");
    assert_eq!(bench.submit_to(2, 1, Lane::Bulk), [], "the other worker is left alone");
    let effects = bench.submit_to(3, 1, Lane::Interactive);
    assert!(matches!(effects[..], [Effect::Lease { .. }]), "but by those who wait: {effects:?}");
    let mut ample = Bench::new(2);
    let _ = ample.submit_to(1, 1, Lane::Bulk);
    assert!(matches!(ample.submit_to(2, 1, Lane::Bulk)[..], [Effect::Lease { .. }]));
    // Full, it leaves half of them to those who wait.
    let mut full = Bench::new(2);
    full.feed(Event::StoreRoom(Room::None));
    assert!(matches!(full.submit(1)[..], [Effect::Lease { .. }]));
    assert_eq!(full.submit(2), []);
    // One worker is half of one.
    let mut one = Bench::new(1);
    one.feed(Event::StoreRoom(Room::Scarce));
    assert!(matches!(one.submit_to(1, 1, Lane::Bulk)[..], [Effect::Lease { .. }]));
}

#[test]
fn half_of_a_pool_that_has_shrunk_is_half_of_what_is_left() {
    let mut bench = Bench::new(4);
    let smaller = Config { size: NonZeroU16::new(2).expect("positive"), ..Config::default() };
    for effect in bench.feed(Event::Configure(Box::new(smaller))) {
        if let Effect::Stop(worker) = effect {
            let _ = bench.die(worker);
        }
    }
    bench.feed(Event::StoreRoom(Room::Scarce));
    assert!(matches!(bench.submit_to(1, 1, Lane::Bulk)[..], [Effect::Lease { .. }]));
    assert_eq!(bench.submit_to(2, 1, Lane::Bulk), []);
}

#[test]
fn a_full_store_holds_bulk_work_back_for_a_moment_and_then_has_all_refused() {
    let mut bench = Bench::new(1);
    assert_eq!(bench.feed(Event::StoreRoom(Room::None)), []);
    // Accepted, not started, and still ready: the store may only be slow.
    assert_eq!(bench.submit_to(1, 1, Lane::Bulk), []);
    assert!(bench.pool.is_ready());
    let effects = bench.feed(Event::StoreRoom(Room::Ample));
    assert!(matches!(effects[..], [Effect::Lease { .. }]), "{effects:?}");

    let mut other = Bench::new(1);
    other.feed(Event::StoreRoom(Room::None));
    let effects = other.submit(2);
    assert!(matches!(effects[..], [Effect::Lease { .. }]), "somebody waits for it: {effects:?}");

    bench.feed(Event::StoreRoom(Room::None));
    let patient_until = bench.now + STORE_PATIENCE;
    // Told again and again, it is no less full.
    bench.now += STORE_PATIENCE / 2;
    bench.feed(Event::StoreRoom(Room::None));
    assert_eq!(bench.pool.next_timer(), Some(patient_until));
    bench.now = patient_until;
    bench.feed(Event::Tick);
    assert!(bench.pool.is_refusing_for_the_store() && !bench.pool.is_ready());
    let effects = bench.submit(3);
    assert!(matches!(&effects[..], [Effect::Fail { error, .. }] if error.kind == ErrorKind::Busy));
    bench.feed(Event::StoreRoom(Room::Ample));
    assert!(bench.pool.is_ready());
}

#[test]
fn a_task_that_comes_again_is_not_judged_either_while_the_store_has_no_room() {
    let mut bench = Bench::new(1);
    bench.feed(Event::StoreRoom(Room::None));
    let _ = bench.wait(STORE_PATIENCE);
    assert!(bench.pool.is_refusing_for_the_store());
    // What the store has already is answered from it, so it is asked.
    assert_eq!((bench.park(1), bench.park(2)), (vec![], vec![]));
    assert_eq!(bench.feed(Event::Known(TaskId(1))), []);
    let effects = bench.feed(Event::Unpark(TaskId(2)));
    assert_eq!(failure(&effects), (2, ErrorKind::Busy));
    let Effect::Fail { error, .. } = &effects[0] else { panic!("{effects:?}") };
    assert!(error.retry_after_ms.is_some());
    assert_eq!(bench.pool.stats(bench.now).rejects.get("store_full"), Some(&1));
    assert_eq!(bench.pool.tasks_held(), 0);
    // One that is parked until there is room again is judged.
    assert_eq!(bench.park(3), []);
    bench.feed(Event::StoreRoom(Room::Ample));
    assert_eq!(lease(&bench.feed(Event::Unpark(TaskId(3)))).2, [3]);
}
