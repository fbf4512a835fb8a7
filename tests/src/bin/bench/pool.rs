//! Judgments per second through the pool, beside the same judge in this process on as many threads.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cynic_judge::{Judge as Bare, Options};
use cynic_proto::client::{Client, Outcome};
use cynic_proto::ids::TaskId;
use cynic_proto::item::{Form, Hint};
use cynic_proto::message::{Ack, Judge, Lane, Reply, Request};
use cynic_tests::daemon::Daemon;
use tokio::task::JoinSet;

use crate::trip::null_request;
use crate::{items, line, title};

/// How long each figure is measured.
const TIME: Duration = Duration::from_secs(2);

/// Tasks in flight at once.
const IN_FLIGHT: usize = 64;

const EXAMPLE: &str = "mail/ordinary.eml";

pub(crate) async fn measure(daemon: &Daemon, workers: u32) {
    let columns = ["bare judge", "interactive", "bulk", "bulk/bare", "not stored", "of bare"];
    title("items per second, 64 in flight", &columns);
    let (client, admin) = (daemon.client().await, daemon.admin().await);
    for bytes in [200, 2_000, 20_000] {
        let item = Bytes::from(items::text(EXAMPLE, bytes));
        let bare = in_process(&item, workers);
        let interactive =
            through_pool(&client, &item, || Sent::Task(judged(Lane::Interactive))).await;
        let bulk = through_pool(&client, &item, || Sent::Task(judged(Lane::Bulk))).await;
        let unstored = through_pool(&admin, &item, || Sent::Canary(judged(Lane::Bulk))).await;
        let of_bare = |rate: f64| format!("{:.2}", rate / bare);
        let name = format!("{bytes} B, judged, stored in the background");
        let stored = [rate(bare), rate(interactive), rate(bulk), of_bare(bulk)];
        line(&name, &[&stored[..], &[rate(unstored), of_bare(unstored)]].concat());
    }
    storing(&admin).await;
    let item = Bytes::from(vec![b'x'; 200]);
    title("null items per second, 64 in flight", &["-", "interactive", "bulk", "-"]);
    let interactive =
        through_pool(&client, &item, || Sent::Task(null_request(Lane::Interactive))).await;
    let bulk = through_pool(&client, &item, || Sent::Task(null_request(Lane::Bulk))).await;
    line("200 B, null tasks", &["-".to_owned(), rate(interactive), rate(bulk), "-".to_owned()]);
}

pub(crate) fn rate(per_second: f64) -> String {
    format!("{per_second:.0}")
}

fn hint() -> Hint {
    Hint { form: Form::Plain, ..Hint::default() }
}

pub(crate) fn judged(lane: Lane) -> Judge {
    Judge {
        task: TaskId::new(),
        retry: false,
        lane,
        ack: Ack::Judged,
        deadline_ms: None,
        hint: hint(),
    }
}

/// What storing costs the judging beside it: the same items as canaries, which are judged and not stored. By turns, so
/// that what else the machine does falls on both.
async fn storing(client: &Client) {
    const TURNS: usize = 3;
    title("judged per second, interactive", &["not stored", "stored", "of it"]);
    for bytes in [200, 2_000, 20_000] {
        let item = Bytes::from(items::text(EXAMPLE, bytes));
        let (mut off, mut on) = (0.0, 0.0);
        for _ in 0..TURNS {
            off += through_pool(client, &item, || Sent::Canary(judged(Lane::Interactive))).await;
            on += through_pool(client, &item, || Sent::Task(judged(Lane::Interactive))).await;
        }
        let share = format!("{:.0}%", 100.0 * on / off);
        let mean = |sum: f64| rate(sum / TURNS as f64);
        line(&format!("{bytes} B"), &[mean(off), mean(on), share]);
    }
}

/// What is sent: a task, or a canary, which is judged like one and not stored.
enum Sent {
    Task(Judge),
    Canary(Judge),
}

/// On as many threads as there are workers.
fn in_process(item: &Bytes, threads: u32) -> f64 {
    let start = Instant::now();
    let judge = || {
        let (judge, mut done) = (Bare::new(Options::default()), 0_u64);
        while start.elapsed() < TIME {
            black_box(judge.judge(black_box(item), &hint())).expect("a judgment");
            done += 1;
        }
        done
    };
    let done: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(judge)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    done as f64 / start.elapsed().as_secs_f64()
}

async fn through_pool(client: &Client, item: &Bytes, request: fn() -> Sent) -> f64 {
    let start = Instant::now();
    let mut flights = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (client, item) = (client.clone(), item.clone());
        flights.spawn(async move {
            let mut done = 0_u64;
            while start.elapsed() < TIME {
                send(&client, request(), item.clone()).await;
                done += 1;
            }
            done
        });
    }
    let done: u64 = flights.join_all().await.into_iter().sum();
    done as f64 / start.elapsed().as_secs_f64()
}

/// Sends it and waits for the answer.
async fn send(client: &Client, sent: Sent, item: Bytes) {
    match sent {
        Sent::Task(request) => {
            let outcome = client.judge_sealed(request, item).await.expect("an answer");
            assert!(!matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
        }
        Sent::Canary(request) => {
            let answer = client.request(Request::Canary(request), item).await.expect("an answer");
            assert!(matches!(answer.0, Reply::Judged(_)), "{answer:?}");
        }
    }
}
