//! Judgments per second through the pool, beside the same judge in this process on as many threads.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cynic_judge::{Judge, Options};
use cynic_proto::client::{Client, Outcome};
use cynic_proto::ids::TaskId;
use cynic_proto::item::{Form, Hint};
use cynic_proto::message::{Ack, Judge as Request, Lane};
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
    title("items per second, 64 in flight", &["bare judge", "interactive", "bulk", "bulk/bare"]);
    let client = daemon.client().await;
    for bytes in [200, 2_000, 20_000] {
        let item = Bytes::from(items::text(EXAMPLE, bytes));
        let bare = in_process(&item, workers);
        let interactive = through_pool(&client, &item, || judged(Lane::Interactive)).await;
        let bulk = through_pool(&client, &item, || judged(Lane::Bulk)).await;
        let ratio = format!("{:.2}", bulk / bare);
        let name = format!("{bytes} B, judged, stored in the background");
        line(&name, &[rate(bare), rate(interactive), rate(bulk), ratio]);
    }
    let item = Bytes::from(vec![b'x'; 200]);
    let interactive = through_pool(&client, &item, || null_request(Lane::Interactive)).await;
    let bulk = through_pool(&client, &item, || null_request(Lane::Bulk)).await;
    line("200 B, null tasks", &["-".to_owned(), rate(interactive), rate(bulk), "-".to_owned()]);
}

fn rate(per_second: f64) -> String {
    format!("{per_second:.0}")
}

fn hint() -> Hint {
    Hint { form: Form::Plain, ..Hint::default() }
}

fn judged(lane: Lane) -> Request {
    Request {
        task: TaskId::new(),
        retry: false,
        lane,
        ack: Ack::Judged,
        deadline_ms: None,
        hint: hint(),
    }
}

/// On as many threads as there are workers.
fn in_process(item: &Bytes, threads: u32) -> f64 {
    let start = Instant::now();
    let judge = || {
        let (judge, mut done) = (Judge::new(Options::default()), 0_u64);
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

async fn through_pool(client: &Client, item: &Bytes, request: fn() -> Request) -> f64 {
    let start = Instant::now();
    let mut flights = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (client, item) = (client.clone(), item.clone());
        flights.spawn(async move {
            let mut done = 0_u64;
            while start.elapsed() < TIME {
                let outcome = client.judge(request(), item.clone()).await.expect("an answer");
                assert!(!matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
                done += 1;
            }
            done
        });
    }
    let done: u64 = flights.join_all().await.into_iter().sum();
    done as f64 / start.elapsed().as_secs_f64()
}
