//! Commands about the daemon itself that are a question and an answer: stats, drain, resume, reload, scale,
//! restart-workers, kill-worker, log-level.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use cynic_proto::access::{Role, Takes};
use cynic_proto::client::{Client, ClientError, Options, unexpected};
use cynic_proto::message::{RefusalKind, Reply, Request};
use cynic_proto::socket::admin_of;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::args::StatsArgs;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::text::printable;
use crate::view::style::{self, columns};
use crate::view::{json, stats as view};

/// How often `stats --watch` looks: as fast as a person can read.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How long a daemon may take to say how it is. One that lives needs milliseconds under any load, and who asks wants to
/// know of one that hangs.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

/// What a daemon says of itself, waited for no longer than that.
pub(crate) async fn soon<T>(
    answer: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    within(LOOK_PATIENCE, answer).await
}

/// An answer that is waited for no longer than that.
pub(crate) async fn within<T>(
    waited: Duration,
    answer: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    timeout(waited, answer).await.unwrap_or(Err(ClientError::NoAnswer { waited }))
}

pub(crate) async fn connect(socket: PathBuf) -> Result<Client, ClientError> {
    // One question, one answer: a connection that breaks is not made again.
    Client::connect(Options { reconnect_for: Duration::ZERO, ..Options::new(socket) }).await
}

/// Connects to ask how the daemon is: an operator gets in at the other socket where the one for clients is full, or
/// closed because the daemon ends.
pub(crate) async fn connect_to_look(socket: PathBuf) -> Result<Client, ClientError> {
    match soon(connect(socket.clone())).await {
        Err(
            error @ (ClientError::NotRunning { .. }
            | ClientError::Refused { kind: RefusalKind::Unavailable, .. }),
        ) => soon(connect(admin_of(&socket))).await.map_err(|_| error),
        connected => connected,
    }
}

/// Connects for that request: where operators are served if it takes their role. Who may not go in there, or finds
/// no such socket, asks at the other one, where the daemon says what is lacking.
pub(crate) async fn connect_for(request: &Request, socket: PathBuf) -> Result<Client, ClientError> {
    if request.takes() != Takes::Role(Role::Admin) {
        return connect(socket).await;
    }
    match connect(admin_of(&socket)).await {
        Err(ClientError::NotRunning { .. } | ClientError::NotPermitted { .. }) => {
            connect(socket).await
        }
        connected => connected,
    }
}

/// Asks for one thing, where that is served.
pub(crate) async fn ask(socket: PathBuf, request: Request) -> Result<Reply> {
    Ok(ask_with(socket, request, Bytes::new()).await?.0)
}

/// The same with a payload, for who wants what comes behind the reply.
pub(crate) async fn ask_with(
    socket: PathBuf,
    request: Request,
    payload: Bytes,
) -> Result<(Reply, Bytes), ClientError> {
    connect_for(&request, socket).await?.request(request, payload).await
}

/// A reply that says no more than that it is done.
pub(crate) fn done(reply: Reply) -> Result<()> {
    match reply {
        Reply::Done => Ok(()),
        other => Err(unexpected(other).into()),
    }
}

/// Shows the figures, once or until interrupted.
pub(crate) async fn stats(socket: PathBuf, args: &StatsArgs) -> Result<Exit> {
    let client = connect_to_look(socket).await?;
    if !args.watch {
        let stats = soon(client.stats()).await?;
        print(&rendered(&stats, args.json)?)?;
        return Ok(Exit::Success);
    }
    let mut interrupt = Interrupt::listen()?;
    let mut ticks = interval(WATCH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let redraw = !args.json && std::io::stdout().is_terminal();
    if redraw {
        print("\u{1b}[2J")?;
    }
    loop {
        tokio::select! {
            () = interrupt.heard() => return Ok(Exit::Interrupted),
            _ = ticks.tick() => {}
        }
        let text = rendered(&soon(client.stats()).await?, args.json)?;
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
        return json::line(stats);
    }
    Ok(view::text(stats, columns()))
}

/// Tells the daemon to take no more work.
pub(crate) async fn drain(socket: PathBuf) -> Result<Exit> {
    done(ask(socket, Request::Drain).await?)?;
    print(
        "draining: what was accepted is finished, nothing more is taken (`cynicctl resume` ends it)\n",
    )
}

/// Tells the daemon to take work again.
pub(crate) async fn resume(socket: PathBuf) -> Result<Exit> {
    done(ask(socket, Request::Resume).await?)?;
    print("taking work again\n")
}

/// Has the daemon do something, and prints what it says it has done.
pub(crate) async fn tell(socket: PathBuf, request: Request) -> Result<Exit> {
    match ask(socket, request).await? {
        Reply::Report(report) => print(&format!("{}\n", printable(&report))),
        other => Err(unexpected(other).into()),
    }
}

pub(crate) fn print(text: &str) -> Result<Exit> {
    let mut out = anstream::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("could not write the output")?;
    Ok(Exit::Success)
}
