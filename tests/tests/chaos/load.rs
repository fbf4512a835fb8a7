//! More work than a daemon can do: what must hold whatever the clock says. `isolation_figures` measures the rest.

use std::time::Duration;

use cynic_proto::error::ErrorKind;
use cynic_proto::message::Lane;
use cynic_tests::daemon::{Home, PATIENCE, binary};
use cynic_tests::load::{self, Plan};

use crate::items;

/// Far more tasks than the queue of these tests takes.
const TASKS: u64 = 3000;

#[tokio::test]
async fn overload_is_refused_with_a_hint_and_over_at_once() {
    let queue = "[queue]\ntasks_max = 32\n";
    let home = Home::new(&(items::config(&binary("cynic-worker")) + queue));
    let daemon = home.start().await;
    let before = daemon.memory_bytes();
    let plan = |lane| Plan::ordinary(lane, 500, PATIENCE).at_most(TASKS);
    let socket = daemon.socket();
    let (mut tally, bulk) = tokio::join!(
        load::send(socket, plan(Lane::Interactive), 0),
        load::send(socket, plan(Lane::Bulk), TASKS)
    );
    tally.add(bulk);
    assert_eq!(tally.sent, 2 * TASKS);
    let busy = tally.failed(ErrorKind::Busy);
    assert_eq!(tally.judged + busy, tally.sent, "{:?}", tally.failed);
    assert!(busy > 0 && tally.judged > 0, "{} judged, {busy} busy", tally.judged);
    assert_eq!(tally.without_hint, 0);
    let stats = daemon.settled().await;
    // The queue's bound, and the two that workers gave back at worst.
    assert!(stats.pool.queue_length_max <= 32 + 2, "{:?}", stats.pool);
    let grown = daemon.memory_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "the daemon grew by {grown} bytes");
    let one = Plan::ordinary(Lane::Interactive, 1, PATIENCE).at_most(1);
    assert_eq!(load::send(socket, one, 0).await.judged, 1, "nothing is refused any more");
}

#[tokio::test]
async fn a_greedy_client_gets_no_more_than_its_share() {
    let home = Home::new(&items::config(&binary("cynic-worker")));
    let daemon = home.start().await;
    let time = Duration::from_secs(3);
    let greedy = Plan::ordinary(Lane::Interactive, 600, time);
    let modest = Plan::ordinary(Lane::Interactive, 60, time);
    let (greedy, modest) = tokio::join!(
        load::send(daemon.socket(), greedy, 0),
        load::send(daemon.socket(), modest, 1 << 32)
    );
    let (greedy, modest) = (greedy.judged_in_time, modest.judged_in_time);
    let share = modest as f64 / (greedy + modest) as f64;
    eprintln!("greedy {greedy}, modest {modest}: the modest one's share is {share:.3}");
    assert!((0.45..=0.55).contains(&share), "the modest client's share is {share:.3}");
}
