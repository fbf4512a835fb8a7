//! Asks the daemon for a judgment from Rust:
//!
//! ```sh
//! cargo run -p cynic-proto --features client --example judge -- FILE
//! ```

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use cynic_proto::client::{Client, Options, Outcome};
use cynic_proto::ids::TaskId;
use cynic_proto::item::{Form, Hint};
use cynic_proto::message::{Ack, Judge, Lane};
use cynic_proto::model::Verdict;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: judge FILE")?;
    let path = Path::new(&path);
    let item = std::fs::read(path)?;

    // `CYNIC_SOCKET`, else the system service's socket, else the user's own.
    let client = Client::connect(Options::new(cynic_proto::socket::for_client())).await?;
    let request = Judge {
        // A retry under the same id gets the same judgment, and it is stored once.
        task: TaskId::new(),
        retry: false,
        lane: Lane::Interactive,
        ack: Ack::Judged,
        deadline_ms: Some(10_000),
        hint: Hint {
            form: if path.extension().is_some_and(|e| e == "json") {
                Form::Json
            } else {
                Form::Plain
            },
            name: path.file_name().map(|name| name.to_string_lossy().into_owned()),
            ..Hint::default()
        },
    };

    // A failure to judge is never a verdict: whether to fail open or closed is yours to decide.
    match client.judge(request, item.into()).await? {
        Outcome::Judged(answer) => {
            let judgment = &answer.judged.judgment;
            println!(
                "{}  Q {:.1}  confidence {:.3}",
                judgment.verdict, judgment.q_score, judgment.confidence
            );
            for evidence in answer.details.evidence.iter().take(3) {
                // Debug escapes what could act on a terminal: quotations are untrusted.
                println!("  {:+.1}  {}  {:?}", evidence.points, evidence.code, evidence.text);
            }
            Ok(if judgment.verdict == Verdict::Bark {
                ExitCode::from(3)
            } else {
                ExitCode::SUCCESS
            })
        }
        Outcome::Echoed(_) => Ok(ExitCode::SUCCESS),
        Outcome::Failed { error, .. } => {
            Err(format!("not judged ({}): {error}", error.kind).into())
        }
    }
}
