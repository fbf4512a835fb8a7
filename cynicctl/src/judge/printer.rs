//! What the user sees of a run: rows as they are ready, notes, the progress bar, the tally at the end.
//!
//! Owns both output streams. Rows are gathered and written when there is nothing else to do.

use std::io::{self, IsTerminal as _, Write};
use std::time::Instant;

use anstream::{AutoStream, eprintln};
use anyhow::{Context as _, Result};

use super::plan::{Plan, Show};
use super::progress::Progress;
use crate::text::{counted, micros, printable};
use crate::view::judged::{Judgments, Row, Tally};
use crate::view::style::{FAINT, WARN, columns, paint};
use crate::view::{explain, json};

/// Rows gathered before they are written although more are ready.
const BUFFER_BYTES_HIGH: usize = 256 * 1024;

pub(super) struct Printer {
    show: Show,
    table: Judgments,
    columns: usize,
    out: AutoStream<io::Stdout>,
    on_terminal: bool,
    buffer: Vec<u8>,
    rows: u64,
    tally: Tally,
    progress: Progress,
    began: Instant,
}

impl Printer {
    pub(super) fn new(plan: &Plan) -> Printer {
        let columns = columns();
        Printer {
            show: plan.show,
            table: Judgments::new(columns),
            columns,
            out: anstream::stdout(),
            on_terminal: io::stdout().is_terminal(),
            buffer: Vec::new(),
            rows: 0,
            tally: Tally::default(),
            progress: Progress::new(),
            began: Instant::now(),
        }
    }

    /// How many bytes there are to judge.
    pub(super) fn expect(&mut self, bytes: u64) {
        self.progress.expect(bytes);
    }

    /// Counts and shows one row; `bytes` is the size of its item.
    pub(super) fn row(&mut self, row: &Row, bytes: usize) -> Result<()> {
        self.tally.count(&row.outcome);
        match self.show {
            Show::Json => self.buffer.extend(json::row(row)?.as_bytes()),
            Show::Table => {
                if self.rows == 0 {
                    self.buffer.extend(self.table.header().as_bytes());
                }
                self.buffer.extend(self.table.row(row).as_bytes());
            }
            Show::Explain => {
                if self.rows > 0 {
                    self.buffer.push(b'\n');
                }
                self.buffer.extend(explain::note(row, self.columns).as_bytes());
            }
        }
        self.rows += 1;
        self.progress.advance(bytes as u64, self.tally.failed);
        if self.buffer.len() >= BUFFER_BYTES_HIGH { self.flush() } else { Ok(()) }
    }

    /// Says something beside the rows.
    pub(super) fn note(&mut self, note: &str) -> Result<()> {
        self.flush()?;
        let note = paint(WARN, &format!("note: {}", printable(note)));
        self.progress.hidden_while(|| eprintln!("{note}"));
        Ok(())
    }

    /// Lets be seen what was gathered.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let (out, buffer) = (&mut self.out, &self.buffer);
        let mut write = || out.write_all(buffer).and_then(|()| out.flush());
        // A file or a pipe leaves the bar as it is: drawn again for each row it would take longer than the rows.
        let written = if self.on_terminal { self.progress.hidden_while(write) } else { write() };
        self.buffer.clear();
        written.context("could not write the output")
    }

    /// Ends the output; the tally follows a table of several rows.
    pub(super) fn finish(&mut self) -> Result<()> {
        if self.show == Show::Table && self.rows > 1 {
            let time = micros(self.began.elapsed().as_micros() as f64);
            let line = format!("\n{} {}\n", self.tally.line(), paint(FAINT, &format!("in {time}")));
            self.buffer.extend(line.as_bytes());
        }
        self.flush()?;
        self.progress.end();
        Ok(())
    }

    /// Ends the output before its time: what is done, what is left, how to go on.
    pub(super) fn interrupted(&mut self, unanswered: usize, resume: bool) -> Result<()> {
        self.flush()?;
        // Before the bar ends, which moves it to where all is done.
        let left = match self.progress.share_left() {
            Some(share) => format!("about {:.0}% of the input", share * 100.0),
            None => "what follows in the input".to_owned(),
        };
        self.progress.end();
        let asked = counted(unanswered as u64, "item");
        eprintln!("\ninterrupted after {}", self.tally.line());
        eprintln!("left: {left}; {asked} of it asked for and not answered");
        if resume {
            eprintln!("run the same command again to go on: what is stored is not judged again");
        } else {
            eprintln!("with --resume such a run goes on where it ended when it is run again");
        }
        Ok(())
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }
}
