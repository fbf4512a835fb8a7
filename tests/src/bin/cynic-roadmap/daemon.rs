//! The steps with more than one process: the daemon, its pool, and workers whose scorers wait.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cynic_proto::client::{Client, Outcome};
use cynic_proto::ids::TaskId;
use cynic_proto::item::{Form, Hint};
use cynic_proto::message::{Ack, Judge, Lane};
use cynic_proto::stats::RecorderStats;
use cynic_tests::daemon::{Daemon, Home, binary};
use cynic_tests::procfs;
use tokio::task::JoinSet;

use crate::one_by_one::ITEM;
use crate::step::{Estimate, Step};

/// How long each step is measured.
const TIME: Duration = Duration::from_secs(4);

/// Workers of the step beyond the cores: scorers that wait need no core, as those do that ask a model elsewhere.
const WAITING_WORKERS: u32 = 16;

/// Tasks in flight of a bulk stream: enough that no worker ever waits for one.
const STREAM: u32 = 256;

pub(crate) async fn steps(pool: Estimate, pipeline: Estimate) -> Vec<Step> {
    let mut steps = Vec::new();
    let (home, daemon) = start("auto").await;
    let workers = daemon.stats().await.pool.pool_size;
    let name = format!("+ the pool: {workers} workers");
    steps.push(measured(&daemon, name, Lane::Interactive, workers, Some(pool)).await);
    let name = format!("+ the pipeline: {STREAM} in flight");
    steps.push(measured(&daemon, name, Lane::Bulk, STREAM, Some(pipeline)).await);
    drop((daemon, home));
    let (_home, daemon) = start(&WAITING_WORKERS.to_string()).await;
    let name = format!("  the same, {WAITING_WORKERS} workers");
    steps.push(measured(&daemon, name, Lane::Bulk, STREAM, None).await);
    steps
}

async fn start(size: &str) -> (Home, Daemon) {
    let worker = binary("patient_worker").display().to_string();
    let size = if size == "auto" { "\"auto\"".to_owned() } else { size.to_owned() };
    let home = Home::new(&format!("[pool]\nsize = {size}\nworker = {worker:?}\n"));
    let daemon = home.start().await;
    daemon.settled().await;
    (home, daemon)
}

async fn measured(
    daemon: &Daemon,
    name: String,
    lane: Lane,
    in_flight: u32,
    estimate: Option<Estimate>,
) -> Step {
    let before = daemon.stats().await;
    let cpu = || {
        let pids = daemon.workers().into_iter().chain([daemon.pid(), std::process::id()]);
        pids.map(procfs::cpu_s).sum::<f64>()
    };
    let client = daemon.client().await;
    let (began, cpu_before) = (Instant::now(), cpu());
    let mut flights = JoinSet::new();
    for _ in 0..in_flight {
        flights.spawn(judge_on(client.clone(), lane, began + TIME));
    }
    let latencies: Vec<Duration> = flights.join_all().await.into_iter().flatten().collect();
    let (took, cpu_s) = (began.elapsed(), cpu() - cpu_before);
    let stored = before.recorder.flushed + latencies.len() as u64;
    let after = daemon.until("all is stored", |stats| stats.recorder.flushed >= stored).await;
    let trips = |stats: &RecorderStats| stats.round_trips_per_judgment * stats.flushed as f64;
    let round_trips = (trips(&after.recorder) - trips(&before.recorder)) / latencies.len() as f64;
    Step { name, latencies, took, round_trips, cpu_s, estimate }
}

async fn judge_on(client: Client, lane: Lane, until: Instant) -> Vec<Duration> {
    let mut latencies = Vec::new();
    while Instant::now() < until {
        let request = Judge {
            task: TaskId::new(),
            retry: false,
            lane,
            ack: Ack::Judged,
            deadline_ms: None,
            hint: Hint { form: Form::Plain, ..Hint::default() },
        };
        let start = Instant::now();
        let outcome = client.judge(request, Bytes::from_static(ITEM)).await.expect("an answer");
        assert!(matches!(outcome, Outcome::Judged(_)), "{outcome:?}");
        latencies.push(start.elapsed());
    }
    latencies
}
