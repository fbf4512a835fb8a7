//! `ping`: is the daemon there, is it ready, and does every worker judge as it should?

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use cynic_proto::client::{ANSWER_GRACE, Client, ClientError, unexpected};
use cynic_proto::ids::TaskId;
use cynic_proto::item::Hint;
use cynic_proto::message::{Ack, Judge, Judged, Lane, Reply, Request};
use cynic_proto::model::Verdict;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::daemon::{connect_to_look, print, soon};
use crate::exit::Exit;
use crate::text::{micros, printable};
use crate::view::style::{BAD, GOOD, WARN, paint};

/// How long a canary may take: far longer than a ready daemon's queue lets it wait.
const CANARY_DEADLINE: Duration = Duration::from_secs(5);

/// How long every worker together may take. Workers that are busy all the time leave fewer places for canaries.
const DEEP_BUDGET: Duration = Duration::from_secs(15);

/// Canaries sent at once for each worker: they are dealt to whoever is idle, so some more than workers.
const CANARIES_PER_WORKER: usize = 3;

/// Says whether the daemon is ready, by its exit code alone.
pub(crate) async fn ready(socket: PathBuf) -> Result<Exit> {
    let ready = soon(async { connect_to_look(socket).await?.ping().await });
    let ready = ready.await.is_ok_and(|pong| pong.ready);
    Ok(if ready { Exit::Success } else { Exit::Unavailable })
}

/// Asks whether the daemon is ready.
pub(crate) async fn ping(socket: PathBuf, deep: bool) -> Result<Exit> {
    let asked = soon(async {
        let client = connect_to_look(socket).await?;
        let began = Instant::now();
        let pong = client.ping().await?;
        Ok((client, pong, began.elapsed()))
    });
    let (client, pong, took) = asked.await?;
    let took = micros(took.as_micros() as f64);
    let colour = match (pong.ready, pong.degraded) {
        (true, false) => GOOD,
        (true, true) => WARN,
        (false, _) => BAD,
    };
    print(&format!("{} ({took})\n", paint(colour, &printable(&pong.status))))?;
    if !pong.ready {
        // The answer has them only while the daemon is ready.
        let reasons = soon(client.stats()).await.map(|stats| stats.degraded).unwrap_or_default();
        for reason in &reasons {
            print(&format!("  {}\n", printable(reason)))?;
        }
        return Ok(Exit::Unavailable);
    }
    if deep { ping_deep(&client).await } else { Ok(Exit::Success) }
}

/// What a worker made of the canary.
struct Sung {
    judged: Judged,
    took: Duration,
}

/// Has every worker judge the canary: each must find it bad, and all to the same bit.
async fn ping_deep(client: &Client) -> Result<Exit> {
    let began = Instant::now();
    let mut sung = BTreeMap::new();
    loop {
        let silent: Vec<String> = {
            let stats = soon(client.stats()).await?;
            let live = stats.workers.iter().filter(|w| w.state == "idle" || w.state == "busy");
            let silent = live.filter(|w| !sung.contains_key(&(w.slot, w.generation)));
            silent.map(|w| format!("{}.{}", w.slot, w.generation)).collect()
        };
        if silent.is_empty() && !sung.is_empty() {
            return judge_canaries(&sung);
        }
        if began.elapsed() > DEEP_BUDGET {
            let who = silent.join(", ");
            print(&format!("{}: no canary reached worker {who} in time\n", paint(BAD, "failed")))?;
            return Ok(Exit::Unavailable);
        }
        if let Err(what) = send_canaries(client, silent.len().max(1), &mut sung).await? {
            print(&format!("{}: {}\n", paint(BAD, "failed"), printable(&what)))?;
            return Ok(Exit::Unavailable);
        }
    }
}

type Chorus = BTreeMap<(u16, u32), Sung>;

/// Sends canaries for so many workers and notes who judged them.
async fn send_canaries(
    client: &Client,
    workers: usize,
    sung: &mut Chorus,
) -> Result<Result<(), String>> {
    let mut flight = JoinSet::new();
    for _ in 0..workers * CANARIES_PER_WORKER {
        let client = client.clone();
        flight.spawn(async move {
            let began = Instant::now();
            let request = Request::Canary(canary());
            // A daemon that hangs keeps to no deadline.
            let waited = CANARY_DEADLINE + ANSWER_GRACE;
            let reply = timeout(waited, client.request(request, Bytes::new())).await;
            (reply.unwrap_or(Err(ClientError::NoAnswer { waited })), began.elapsed())
        });
    }
    while let Some(landed) = flight.join_next().await {
        let (reply, took) = landed?;
        match reply?.0 {
            Reply::Judged(judged) => {
                let worker = judged.worker;
                sung.insert((worker.slot, worker.generation), Sung { judged: *judged, took });
            }
            Reply::Failed { error, .. } => return Ok(Err(error.message)),
            other => return Err(unexpected(other).into()),
        }
    }
    Ok(Ok(()))
}

fn canary() -> Judge {
    Judge {
        task: TaskId::new(),
        retry: false,
        lane: Lane::Interactive,
        ack: Ack::Judged,
        deadline_ms: Some(CANARY_DEADLINE.as_millis() as u32),
        hint: Hint::default(),
    }
}

fn judge_canaries(sung: &Chorus) -> Result<Exit> {
    let scores: Vec<f32> = sung.values().map(|sung| sung.judged.judgment.q_score).collect();
    let agreed = scores.windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits());
    let mut good = agreed;
    for (worker, Sung { judged, took }) in sung {
        let judgment = &judged.judgment;
        let known = matches!(judgment.verdict, Verdict::Growl | Verdict::Bark);
        good &= known;
        let mark = if known { paint(GOOD, "as known") } else { paint(BAD, "wrong") };
        print(&format!(
            "  worker {}.{}: {} {:.1}, {mark} ({})\n",
            worker.0,
            worker.1,
            judgment.verdict,
            judgment.q_score,
            micros(took.as_micros() as f64)
        ))?;
    }
    if !agreed {
        print(&format!("{}: workers disagree: restart them\n", paint(BAD, "failed")))?;
    }
    Ok(if good { Exit::Success } else { Exit::Failed })
}
