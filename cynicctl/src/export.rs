//! `cynicctl export`: all records that fit, oldest first, page by page: a million of them take no more memory than
//! one page.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use cynic_proto::client::Client;
use cynic_proto::history::{HISTORY_LIMIT_MAX, HistoryQuery};
use jiff::{Timestamp, tz::TimeZone};

use crate::args::{ExportArgs, ExportFormat};
use crate::daemon;
use crate::exit::Exit;
use crate::history::{filter, page};
use crate::interrupt::Interrupt;
use crate::text::counted;
use crate::unfinished::Unfinished;
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
    let query = HistoryQuery {
        // What comes while this runs is the next export's, or this one would never end on a busy daemon.
        until_us: Some(query.until_us.unwrap_or(now.as_microsecond())),
        limit: HISTORY_LIMIT_MAX,
        oldest_first: true,
        features: args.features,
        ..query
    };
    let client = daemon::connect(socket).await?;
    let Some(path) = &args.output else {
        let mut out = BufWriter::new(io::stdout().lock());
        return write(&client, query, args.format, &mut out).await.map(|_| Exit::Success);
    };
    let mut interrupt = Interrupt::listen()?;
    // An export may be the only copy of what was pruned since: never over another file, and half of one is none.
    let mut file = Unfinished::create(path)?;
    let records = tokio::select! {
        () = interrupt.heard() => return Ok(Exit::Interrupted),
        records = write(&client, query, args.format, &mut file) => records?,
    };
    file.finish()?;
    daemon::print(&format!("{}: {}\n", path.display(), counted(records, "record")))
}

/// Writes all records of the query; returns how many.
async fn write(
    client: &Client,
    mut query: HistoryQuery,
    format: ExportFormat,
    out: &mut dyn Write,
) -> Result<u64> {
    let context = "could not write the export";
    if format == ExportFormat::Csv {
        out.write_all(view::csv_header().as_bytes()).context(context)?;
    }
    let mut records = 0;
    loop {
        let page = page(client, &query).await?;
        for row in &page.rows {
            records += 1;
            match format {
                ExportFormat::Jsonl => out.write_all(&view::json_line(row)?),
                ExportFormat::Csv => out.write_all(view::csv_line(row).as_bytes()),
            }
            .context(context)?;
        }
        query.cursor = page.next;
        if page.next.is_none() {
            break;
        }
    }
    out.flush().context(context)?;
    Ok(records)
}
