//! `cynicctl export`: all records that fit, oldest first, page by page: a million of them take no more memory than
//! one page.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use cynic_proto::client::Client;
use cynic_proto::history::{Cursor, HISTORY_LIMIT_MAX, HistoryQuery, HistoryRow, RecordKinds};
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
    let query = filter(&args.filter, Timestamp::now(), &TimeZone::system())?;
    let query = HistoryQuery {
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
    let end = End::find(client, &query).await?;
    let mut records = 0;
    while let Some(kinds) = end.left(query.cursor) {
        query.kinds = kinds;
        let page = page(client, &query).await?;
        for row in page.rows.iter().filter(|row| end.is_before(row)) {
            records += 1;
            match format {
                ExportFormat::Jsonl => out.write_all(view::json_line(row)?.as_bytes()),
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

/// The newest records when the export began, as far as it lists their kinds. What comes while it runs is the next
/// export's, or this one would never end on a busy daemon. By number: clocks are set back.
#[derive(Debug, Clone, Copy)]
struct End {
    judgment_seq: Option<i64>,
    failure_seq: Option<i64>,
}

impl End {
    async fn find(client: &Client, query: &HistoryQuery) -> Result<End> {
        let mut end = End { judgment_seq: None, failure_seq: None };
        for kinds in [RecordKinds::Judgments, RecordKinds::Failures] {
            if ![kinds, RecordKinds::All].contains(&query.kinds) {
                continue;
            }
            // Of this user's, as who may not read others' is answered so; all other conditions would take a search.
            let newest = HistoryQuery {
                kinds,
                client_uid: query.client_uid,
                limit: 1,
                ..HistoryQuery::default()
            };
            match page(client, &newest).await?.rows.first() {
                Some(HistoryRow::Judgment(row)) => end.judgment_seq = Some(row.seq),
                Some(HistoryRow::Failure(row)) => end.failure_seq = Some(row.seq),
                None => {}
            }
        }
        Ok(end)
    }

    /// Whether a record was there when the export began.
    fn is_before(&self, row: &HistoryRow) -> bool {
        match row {
            HistoryRow::Judgment(row) => Some(row.seq) <= self.judgment_seq,
            HistoryRow::Failure(row) => Some(row.seq) <= self.failure_seq,
        }
    }

    /// What is to be listed still behind a cursor.
    fn left(&self, cursor: Option<Cursor>) -> Option<RecordKinds> {
        let judgments = self.judgment_seq > cursor.and_then(|cursor| cursor.judgment_seq);
        let failures = self.failure_seq > cursor.and_then(|cursor| cursor.failure_seq);
        match (judgments, failures) {
            (true, true) => Some(RecordKinds::All),
            (true, false) => Some(RecordKinds::Judgments),
            (false, true) => Some(RecordKinds::Failures),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_listed_up_to_its_end_and_no_further() {
        let end = End { judgment_seq: Some(5), failure_seq: None };
        let at = |judgment_seq, failure_seq| Some(Cursor { judgment_seq, failure_seq });
        assert_eq!(end.left(None), Some(RecordKinds::Judgments));
        assert_eq!(end.left(at(Some(4), None)), Some(RecordKinds::Judgments));
        for past in [5, 6] {
            assert_eq!(end.left(at(Some(past), Some(1))), None);
        }
        let end = End { failure_seq: Some(2), ..end };
        assert_eq!(end.left(at(Some(4), Some(1))), Some(RecordKinds::All));
        assert_eq!(end.left(at(Some(5), Some(1))), Some(RecordKinds::Failures));
        assert_eq!(end.left(at(Some(4), Some(2))), Some(RecordKinds::Judgments));
    }
}
