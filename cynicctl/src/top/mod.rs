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
    let shown = show(&mut terminal, Model::new(stats), client, socket, coloured).await;
    ratatui::restore();
    shown.map(|()| Exit::Success)
}

async fn show(
    terminal: &mut ratatui::DefaultTerminal,
    mut model: Model,
    client: Client,
    socket: PathBuf,
    coloured: bool,
) -> Result<()> {
    let mut events = listen();
    let mut client = Some(client);
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
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
            _ = ticks.tick() => match ask(&mut client, &socket).await {
                Ok(stats) => model.update(stats),
                Err(error) => model.lost(error.to_string()),
            },
        }
    }
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
