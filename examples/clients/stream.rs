//! Judges JSON items, one a line, of any number, in constant memory:
//!
//! ```sh
//! cargo run -p cynic-proto --features client --example stream < items.jsonl
//! ```

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::error::Error;
use std::io::BufRead as _;

use cynic_proto::client::stream::{Flow, Items};
use cynic_proto::client::{Client, Options, Outcome};
use cynic_proto::ids::TaskId;
use cynic_proto::item::Hint;
use cynic_proto::message::{Ack, Judge, Lane};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::connect(Options::new(cynic_proto::socket::for_client())).await?;
    // At most 64 items in flight; answers in the order of the lines.
    let (items, mut answers) = client.stream(Flow { items: 64, ..Flow::default() });
    // Reading blocks, and has a thread of its own.
    let sent = tokio::task::spawn_blocking(move || send(items));
    while let Some(answer) = answers.next().await {
        let line = answer.number + 1;
        match answer.outcome? {
            Outcome::Judged(answer) => println!("{line}\t{}", answer.judged.judgment.verdict),
            Outcome::Echoed(_) => println!("{line}\techoed"),
            // One bad item is no reason to stop, and no verdict.
            Outcome::Failed { error, .. } => println!("{line}\tnot judged: {error}"),
        }
    }
    Ok(sent.await??)
}

/// Sends the lines of standard input; waits where there is no credit.
fn send(mut items: Items) -> std::io::Result<()> {
    let runtime = tokio::runtime::Handle::current();
    for line in std::io::stdin().lock().lines() {
        let request = Judge {
            task: TaskId::new(),
            retry: false,
            lane: Lane::Bulk,
            ack: Ack::Judged,
            deadline_ms: None,
            hint: Hint::default(),
        };
        if runtime.block_on(items.send(request, line?.into())).is_err() {
            break;
        }
    }
    Ok(())
}
