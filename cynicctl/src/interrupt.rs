//! Ctrl-C: commands that have something to tidy up hear of it and end by themselves, and the program ends without them
//! where they cannot.
//!
//! Owns SIGINT from the first [`Interrupt::listen`] on. Never writes: what stands in the way may be the output.

use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use crate::exit::Exit;

/// How long a command may take to notice: at work it does so at once, but not while it writes to who does not read.
const NOTICE: Duration = Duration::from_secs(1);

/// Ctrl-C, for one command.
#[derive(Debug)]
pub(crate) struct Interrupt {
    signals: Signal,
    noticed: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes Ctrl-C over from the system, which would end the program.
    ///
    /// The command runs on the only thread of its runtime, which a write to a pipe may hold up for ever. So another
    /// thread listens too, and ends the program when a second Ctrl-C comes or the first is not noticed in time.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub(crate) fn listen() -> Result<Interrupt> {
        const CONTEXT: &str = "could not listen for Ctrl-C";
        let signals = signal(SignalKind::interrupt()).context(CONTEXT)?;
        let noticed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&noticed);
        let runtime = Builder::new_current_thread().enable_all().build().context(CONTEXT)?;
        // The thread is detached: it ends with the program.
        std::thread::Builder::new()
            .name("interrupt".to_owned())
            .spawn(move || runtime.block_on(insist(&seen)))
            .context(CONTEXT)?;
        Ok(Interrupt { signals, noticed })
    }

    /// Waits for Ctrl-C. Cancel safe: one that came meanwhile is not lost.
    pub(crate) async fn heard(&mut self) {
        self.signals.recv().await;
        self.noticed.store(true, Ordering::Relaxed);
    }
}

/// Ends the program for who insists, or is not heard.
async fn insist(noticed: &AtomicBool) {
    let Ok(mut signals) = signal(SignalKind::interrupt()) else { return };
    signals.recv().await;
    let again = timeout(NOTICE, signals.recv()).await;
    if again.is_err() && noticed.load(Ordering::Relaxed) {
        signals.recv().await;
    }
    exit(i32::from(Exit::Interrupted as u8));
}
