//! `cynicctl dead-letters` as the user types it.

use clap::Subcommand;
use cynic_proto::ids::{LetterId, ParseLetterIdError};

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// List them, newest first
    List {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one: why it was refused, and what is in it
    Show {
        /// Its id, as `list` gives it: a judgment's is that of its task
        #[arg(value_name = "ID", value_parser = letter_id)]
        id: LetterId,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write them into the database again; what it still refuses stays a dead letter
    Retry {
        /// Their ids, as `list` gives them
        #[arg(value_name = "ID", value_parser = letter_id)]
        ids: Vec<LetterId>,
        /// Write all of them again, the oldest first
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        /// Print what comes of each as JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Forget them for good: what they say is stored nowhere else
    Drop {
        /// Their ids, as `list` gives them
        #[arg(value_name = "ID", value_parser = letter_id)]
        ids: Vec<LetterId>,
        /// Forget all of them
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
}

fn letter_id(text: &str) -> Result<LetterId, String> {
    text.parse().map_err(|e: ParseLetterIdError| e.to_string())
}
