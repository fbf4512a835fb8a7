//! Commands that ask about the daemon itself: ping, stats, drain, resume.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use cynic_proto::client::{Client, ClientError, Options, Outcome, unexpected};
use cynic_proto::ids::TaskId;
use cynic_proto::item::{Form, Hint};
use cynic_proto::message::{Ack, Judge, Lane, Reply, Request};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::args::StatsArgs;
use crate::exit::Exit;
use crate::text::{micros, printable};
use crate::view::style::{self, BAD, GOOD, WARN, columns, paint};
use crate::view::{json, stats as view};

/// The profile under which a task goes through queue and worker without being judged or stored.
const NULL_PROFILE: &str = "null";

/// How long `ping --deep` waits for its task: far longer than a ready daemon's queue lets it wait.
const DEEP_DEADLINE: Duration = Duration::from_secs(5);

/// How often `stats --watch` looks: as fast as a person can read.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) async fn connect(socket: PathBuf) -> Result<Client, ClientError> {
    // One question, one answer: a connection that breaks is not made again.
    Client::connect(Options { reconnect_for: Duration::ZERO, ..Options::new(socket) }).await
}

/// Asks whether the daemon is ready.
pub(crate) async fn ping(socket: PathBuf, deep: bool) -> Result<Exit> {
    let client = connect(socket).await?;
    let began = Instant::now();
    let pong = client.ping().await?;
    let took = micros(began.elapsed().as_micros() as f64);
    let state = match (pong.ready, pong.degraded) {
        (true, false) => paint(GOOD, "ready"),
        (true, true) => paint(WARN, "ready, degraded"),
        (false, _) => paint(BAD, "not ready"),
    };
    print(&format!("{state}: {} ({took})\n", printable(&pong.status)))?;
    if !pong.ready {
        return Ok(Exit::Unavailable);
    }
    if deep { ping_deep(&client).await } else { Ok(Exit::Success) }
}

/// Sends a task all the way to a worker and back.
async fn ping_deep(client: &Client) -> Result<Exit> {
    let hint =
        Hint { form: Form::Plain, profile: Some(NULL_PROFILE.to_owned()), ..Hint::default() };
    let request = Judge {
        task: TaskId::new(),
        retry: false,
        lane: Lane::Interactive,
        ack: Ack::Judged,
        deadline_ms: Some(DEEP_DEADLINE.as_millis() as u32),
        hint,
    };
    let began = Instant::now();
    // The daemon keeps the deadline itself; this is for one that does not.
    let answer = timeout(DEEP_DEADLINE * 2, client.judge(request, Bytes::from_static(b"ping")));
    let Ok(outcome) = answer.await else {
        print(&format!("{}: no answer from a worker in time\n", paint(BAD, "failed")))?;
        return Ok(Exit::Unavailable);
    };
    match outcome? {
        Outcome::Failed { error, .. } => {
            print(&format!("{}: {}\n", paint(BAD, "failed"), printable(&error.message)))?;
            Ok(Exit::Unavailable)
        }
        Outcome::Echoed(_) | Outcome::Judged(_) => {
            let took = micros(began.elapsed().as_micros() as f64);
            print(&format!("a task went through a worker and back ({took})\n"))?;
            Ok(Exit::Success)
        }
    }
}

/// Shows the figures, once or until interrupted.
pub(crate) async fn stats(socket: PathBuf, args: &StatsArgs) -> Result<Exit> {
    let client = connect(socket).await?;
    if !args.watch {
        let stats = client.stats().await?;
        print(&rendered(&stats, args.json)?)?;
        return Ok(Exit::Success);
    }
    let mut ticks = interval(WATCH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let redraw = !args.json && std::io::stdout().is_terminal();
    if redraw {
        print("\u{1b}[2J")?;
    }
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Success),
            _ = ticks.tick() => {}
        }
        let text = rendered(&client.stats().await?, args.json)?;
        print(&if redraw { drawn_over(&text) } else { text })?;
    }
}

/// The text from the top of the screen on, as much of it as fits, over what was there: nothing flickers.
fn drawn_over(text: &str) -> String {
    let height = style::rows().unwrap_or(usize::MAX).saturating_sub(1);
    let lines: Vec<&str> = text.lines().take(height).collect();
    format!("\u{1b}[H{}\u{1b}[K\u{1b}[J", lines.join("\u{1b}[K\n"))
}

fn rendered(stats: &cynic_proto::stats::Stats, as_json: bool) -> Result<String> {
    if as_json {
        let line = json::encode(stats).context("could not write JSON")?;
        return Ok(String::from_utf8(line)? + "\n");
    }
    Ok(view::text(stats, columns()))
}

/// Tells the daemon to take no more work.
pub(crate) async fn drain(socket: PathBuf) -> Result<Exit> {
    ask(socket, Request::Drain).await?;
    print(
        "draining: what was accepted is finished, nothing more is taken (`cynicctl resume` ends it)\n",
    )
}

/// Tells the daemon to take work again.
pub(crate) async fn resume(socket: PathBuf) -> Result<Exit> {
    ask(socket, Request::Resume).await?;
    print("taking work again\n")
}

async fn ask(socket: PathBuf, request: Request) -> Result<()> {
    match connect(socket).await?.request(request, Bytes::new()).await? {
        (Reply::Done, _) => Ok(()),
        (other, _) => Err(unexpected(other).into()),
    }
}

pub(crate) fn print(text: &str) -> Result<Exit> {
    let mut out = anstream::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("could not write the output")?;
    Ok(Exit::Success)
}
