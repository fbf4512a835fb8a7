//! `top`: the daemon's figures, live. Asks once a second, redraws on keys at once.
//!
//! Owns the terminal while it runs and gives it back however it ends. What is shown is [`model`]'s, how it is
//! drawn is [`screen`]'s.

mod model;
mod screen;

use std::io::{IsTerminal as _, stdout};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use cynic_proto::client::{Client, ClientError};
use cynic_proto::stats::Stats;
use ratatui::Terminal;
use ratatui::backend::Backend;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::daemon::{connect_to_look, soon};
use crate::exit::{Exit, UsageError};
use model::{Key, Model, Next};

/// How often the daemon is asked: each is one point of the sparklines.
const INTERVAL: Duration = Duration::from_secs(1);

/// Keys that may wait: nobody types faster than a screen is drawn.
const KEYS_MAX: usize = 64;

/// Shows the figures until the user has seen enough.
pub(crate) async fn run(socket: PathBuf) -> Result<Exit> {
    if !stdout().is_terminal() || !std::io::stdin().is_terminal() {
        let message =
            "top needs a terminal; `cynicctl stats` and `stats --watch` do not".to_owned();
        return Err(UsageError(message).into());
    }
    let coloured = anstream::AutoStream::choice(&stdout()) != anstream::ColorChoice::Never;
    // Before the screen is taken, so that the error is readable.
    let client = connect_to_look(socket.clone()).await?;
    let stats = soon(client.stats()).await?;
    let mut terminal = ratatui::try_init().context("could not take over the terminal")?;
    let answers = follow(Some(client), socket);
    let shown = show(&mut terminal, Model::new(stats), listen(), answers, coloured).await;
    ratatui::restore();
    shown.map(|()| Exit::Success)
}

async fn show<B: Backend>(
    terminal: &mut Terminal<B>,
    mut model: Model,
    mut events: mpsc::Receiver<Option<Key>>,
    mut answers: mpsc::Receiver<Result<Stats, ClientError>>,
    coloured: bool,
) -> Result<()>
where
    B::Error: Send + Sync + 'static,
{
    loop {
        terminal
            .draw(|frame| screen::draw(frame, &model, coloured))
            .context("could not draw on the terminal")?;
        tokio::select! {
            typed = events.recv() => match typed {
                // The screen has another size: it is drawn anew.
                Some(None) => {}
                Some(Some(key)) => if model.key(key) == Next::Quit { return Ok(()) },
                None => return Ok(()),
            },
            answer = answers.recv() => match answer {
                Some(Ok(stats)) => model.update(stats),
                Some(Err(error)) => model.lost(error.to_string()),
                None => return Ok(()),
            },
        }
    }
}

/// The figures, asked for beside the screen: a daemon that hangs holds up neither keys nor drawing. Ends with the
/// receiver.
fn follow(
    mut client: Option<Client>,
    socket: PathBuf,
) -> mpsc::Receiver<Result<Stats, ClientError>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        loop {
            ticks.tick().await;
            let answer = ask(&mut client, &socket).await;
            if sender.send(answer).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// Asks for the figures, over a new connection if the last one broke.
async fn ask(client: &mut Option<Client>, socket: &std::path::Path) -> Result<Stats, ClientError> {
    let connected = match client.take() {
        Some(connected) => connected,
        None => connect_to_look(socket.to_owned()).await?,
    };
    let stats = soon(connected.stats()).await?;
    *client = Some(connected);
    Ok(stats)
}

/// Keys as they are typed; `None` for a new size. The thread ends with the program.
fn listen() -> mpsc::Receiver<Option<Key>> {
    let (sender, receiver) = mpsc::channel(KEYS_MAX);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let typed = match event {
                Event::Key(key) if key.kind == KeyEventKind::Press => Key::of(key).map(Some),
                Event::Resize(..) => Some(None),
                _ => None,
            };
            if let Some(typed) = typed
                && sender.blocking_send(typed).is_err()
            {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::backend::TestBackend;
    use tokio::net::UnixListener;

    #[tokio::test]
    async fn keys_are_heard_while_the_daemon_hangs() {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        let socket = dir.path().join("socket");
        let listener = UnixListener::bind(&socket).expect("bound");
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("a screen");
        let (keys, events) = mpsc::channel(KEYS_MAX);
        let model = Model::new(Stats::default());
        let asked = async {
            let (peer, _) = listener.accept().await.expect("a client");
            keys.send(Some(Key::Quit)).await.expect("listened to");
            peer
        };
        let shown = show(&mut terminal, model, events, follow(None, socket), false);
        let (shown, peer) = tokio::join!(shown, asked);
        shown.expect("shown");
        // Whoever asked still waits for the greeting: behind its own there is no end yet.
        let mut bytes = vec![0; 64 * 1024];
        loop {
            match peer.try_read(&mut bytes) {
                Ok(n) => assert_ne!(n, 0, "the key had to wait until the daemon was given up"),
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                    break;
                }
            }
        }
    }
}
