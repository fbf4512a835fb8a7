//! `cynicctl export`: all records that fit, oldest first, page by page: a million of them take no more memory than
//! one page.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use cynic_proto::history::{HISTORY_LIMIT_MAX, HistoryQuery};
use jiff::{Timestamp, tz::TimeZone};

use crate::args::{ExportArgs, ExportFormat};
use crate::daemon;
use crate::exit::Exit;
use crate::history::{filter, page};
use crate::text::counted;
use crate::view::history as view;

/// Writes the records to a file or to standard output.
pub(crate) async fn run(socket: PathBuf, args: &ExportArgs) -> Result<Exit> {
    if args.features && args.format == ExportFormat::Csv {
        bail!(
            "features have no columns, as each judgment has its own: write them with --format jsonl"
        );
    }
    let now = Timestamp::now();
    let query = filter(&args.filter, now, &TimeZone::system())?;
    let mut query = HistoryQuery {
        // What comes while this runs is the next export's, or this one would never end on a busy daemon.
        until_us: Some(query.until_us.unwrap_or(now.as_microsecond())),
        limit: HISTORY_LIMIT_MAX,
        oldest_first: true,
        features: args.features,
        ..query
    };
    let client = daemon::connect(socket).await?;
    let mut out = output(args)?;
    let context = "could not write the export";
    if args.format == ExportFormat::Csv {
        out.write_all(view::csv_header().as_bytes()).context(context)?;
    }
    let mut records = 0;
    loop {
        let page = page(&client, &query).await?;
        for row in &page.rows {
            match args.format {
                ExportFormat::Jsonl => out.write_all(&view::json_line(row)?),
                ExportFormat::Csv => out.write_all(view::csv_line(row).as_bytes()),
            }
            .context(context)?;
        }
        records += page.rows.len() as u64;
        query.cursor = page.next;
        if page.next.is_none() {
            break;
        }
    }
    out.flush().context(context)?;
    if let Some(path) = &args.output {
        daemon::print(&format!("{}: {}\n", path.display(), counted(records, "record")))?;
    }
    Ok(Exit::Success)
}

fn output(args: &ExportArgs) -> Result<Box<dyn Write>> {
    let Some(path) = &args.output else { return Ok(Box::new(BufWriter::new(io::stdout().lock()))) };
    // Never over another file: an export may be the only copy of what was pruned since.
    let file = File::create_new(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            anyhow!(
                "{} exists already, and an export replaces no file: give another name",
                path.display()
            )
        }
        _ => anyhow::Error::new(error).context(format!("could not write {}", path.display())),
    })?;
    Ok(Box::new(BufWriter::new(file)))
}
