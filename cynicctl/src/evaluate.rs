//! `cynicctl eval`: labelled items are judged by the daemon and the judge is measured against the labels.
//!
//! Owns the way from files to the collector of `cynic-eval`, which owns the figures.

use std::fs::File;
use std::io::{BufReader, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anstream::eprintln;
use anyhow::{Context as _, Result};
use bytes::Bytes;
use cynic_eval::dataset::{self, DatasetError, Labelled, Pair, Record};
use cynic_eval::{Collector, Failure, Judged, JudgedPair};
use cynic_proto::client::{Answer, Client, ClientError, Options, Outcome};
use cynic_proto::ids::TaskId;
use cynic_proto::item::{Form, Hint};
use cynic_proto::message::{Ack, Judge, Lane};

use crate::args::EvalArgs;
use crate::exit::Exit;
use crate::flight::{Room, Window, feed};
use crate::html::HtmlFile;
use crate::interrupt::Interrupt;
use crate::text::{counted, printable};

/// How long an item is offered again to a daemon that cannot take it now.
const PATIENCE: Duration = Duration::from_secs(30);

/// Wrong lines that are named; the others are only counted.
const WRONG_LINES_SHOWN: u64 = 20;

/// What became of one record.
enum Measured {
    Item(Box<Judged>),
    Pair(JudgedPair),
    Failed(Failure),
    /// A line that is no record, or a file that cannot be read on.
    Wrong(anyhow::Error),
    /// The daemon could not be asked.
    Broken(ClientError),
}

/// Judges all records and prints the figures.
pub(crate) async fn run(socket: PathBuf, args: EvalArgs) -> Result<Exit> {
    let client = Client::connect(Options::new(socket)).await?;
    let page = args.html.as_deref().map(HtmlFile::open).transpose()?;
    let files = args.files.clone();
    let mut records = feed(move |hand_over| {
        for file in &files {
            if read(file, hand_over).is_break() {
                return;
            }
        }
    })?;

    let mut tally = Tally::default();
    let mut window: Window<(Measured, Room)> = Window::new();
    let mut reading = true;
    let mut interrupt = Interrupt::listen()?;
    while reading || !window.is_empty() {
        tokio::select! {
            biased;
            () = interrupt.heard() => return Ok(Exit::Interrupted),
            () = window.ready(), if !window.is_empty() => {}
            record = records.recv(), if reading && window.has_room() => match record {
                Some((record, room)) => ask(&mut window, &client, record, room),
                None => reading = false,
            },
        }
        while let Some(answer) = window.take() {
            tally.add(answer?.0)?;
        }
    }
    tally.finish(args.json, page)
}

type Line = Result<Record, anyhow::Error>;

fn read(path: &Path, hand_over: &mut dyn FnMut(Line, usize) -> ControlFlow<()>) -> ControlFlow<()> {
    let name = path.display().to_string();
    let file = match File::open(path).with_context(|| format!("could not open {name}")) {
        Ok(file) => BufReader::new(file),
        Err(error) => return hand_over(Err(error), 0),
    };
    for record in dataset::records(file, &name) {
        let bytes = match &record {
            Ok(Record::Item(item)) => item.item.len() + item.text.len(),
            Ok(Record::Pair(pair)) => pair.better.len() + pair.worse.len(),
            Err(_) => 0,
        };
        hand_over(record.map_err(DatasetError::into), bytes)?;
    }
    ControlFlow::Continue(())
}

fn ask(window: &mut Window<(Measured, Room)>, client: &Client, record: Line, room: Room) {
    let client = client.clone();
    match record {
        Ok(Record::Item(item)) => {
            window.ask(async move { (item_measured(&client, item).await, room) });
        }
        Ok(Record::Pair(pair)) => {
            window.ask(async move { (pair_measured(&client, pair).await, room) });
        }
        Err(error) => window.known((Measured::Wrong(error), room)),
    }
}

async fn item_measured(client: &Client, item: Labelled) -> Measured {
    let Labelled { set, id, label, text, item: bytes, .. } = item;
    match judged(client, Hint::default(), bytes.into()).await {
        Ok(Ok(answer)) => Measured::Item(Box::new(Judged {
            set,
            id,
            label,
            length: text.chars().count(),
            text,
            judgment: answer.judged.judgment,
            details: answer.details,
        })),
        Ok(Err(error)) => Measured::Failed(Failure { set, id, error }),
        Err(error) => Measured::Broken(error),
    }
}

async fn pair_measured(client: &Client, pair: Pair) -> Measured {
    let Pair { set, id, better, worse, .. } = pair;
    let hint = || Hint { form: Form::Plain, item_type: Some("text".to_owned()), ..Hint::default() };
    let (better, worse) =
        tokio::join!(judged(client, hint(), better.into()), judged(client, hint(), worse.into()));
    match (better, worse) {
        (Err(error), _) | (_, Err(error)) => Measured::Broken(error),
        (Ok(Err(error)), _) | (_, Ok(Err(error))) => Measured::Failed(Failure { set, id, error }),
        (Ok(Ok(better)), Ok(Ok(worse))) => Measured::Pair(JudgedPair {
            set,
            better_q: better.judged.judgment.q_score,
            worse_q: worse.judged.judgment.q_score,
        }),
    }
}

/// A judgment, or why there is none.
async fn judged(
    client: &Client,
    hint: Hint,
    item: Bytes,
) -> Result<Result<Box<Answer>, String>, ClientError> {
    let request = Judge {
        task: TaskId::new(),
        retry: false,
        lane: Lane::Bulk,
        ack: Ack::Judged,
        deadline_ms: None,
        hint,
    };
    match client.judge_within(request, item, PATIENCE).await {
        Ok(Outcome::Judged(answer)) => Ok(Ok(answer)),
        Ok(Outcome::Echoed(_)) => Ok(Err("echoed, not judged".to_owned())),
        Ok(Outcome::Failed { error, .. }) => Ok(Err(error.message)),
        Err(ClientError::Frame(error)) => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

#[derive(Default)]
struct Tally {
    collector: Collector,
    measured: bool,
    failed: bool,
    wrong: u64,
}

impl Tally {
    fn add(&mut self, measured: Measured) -> Result<()> {
        match measured {
            Measured::Item(item) => {
                self.measured = true;
                self.collector.push(*item);
            }
            Measured::Pair(pair) => {
                self.measured = true;
                self.collector.push_pair(&pair);
            }
            Measured::Failed(failure) => {
                self.failed = true;
                self.collector.push_failure(failure);
            }
            Measured::Wrong(error) => {
                self.wrong += 1;
                if self.wrong <= WRONG_LINES_SHOWN {
                    eprintln!("{}", printable(&format!("{error:#}")));
                }
            }
            Measured::Broken(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn finish(mut self, as_json: bool, page: Option<HtmlFile>) -> Result<Exit> {
        if self.wrong > 0 {
            let inputs = counted(self.wrong, "input");
            self.collector.note(format!("not in these figures, as unreadable: {inputs}"));
        }
        // Tables of nothing look like a result; what is wrong with each line, or with what the daemon says, is told.
        anyhow::ensure!(
            self.measured || self.failed,
            "there is nothing to measure with: no labelled item could be read"
        );
        let evaluation = self.collector.finish();
        let text = if as_json { evaluation.to_json()? + "\n" } else { evaluation.render_text() };
        let mut out = anstream::stdout();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .context("could not write the output")?;
        // Last, so that the figures are not lost with it.
        if let Some(page) = page {
            page.write(&evaluation.render_html())?;
        }
        Ok(if self.failed || self.wrong > 0 { Exit::Failed } else { Exit::Success })
    }
}
