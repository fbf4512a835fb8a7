//! `cynicctl history` and `show`: what the command line asks becomes a query, pages become one listing.
//!
//! Owns the reading of times and the paging. Views are in [`crate::view::history`].

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use cynic_proto::client::{Client, unexpected};
use cynic_proto::history::{
    Cursor, DimensionBound, HISTORY_LIMIT_MAX, HistoryPage, HistoryQuery, HistoryRow, RecordKinds,
    Side,
};
use cynic_proto::message::{Reply, Request};
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

use crate::args::{FilterArgs, HistoryArgs, ShowArgs};
use crate::daemon;
use crate::exit::{Exit, UsageError};
use crate::view::history::{self as view, Listing};
use crate::view::show as show_view;
use crate::view::style::{FAINT, columns, paint};

/// Lists what the arguments ask for, page by page.
pub(crate) async fn run(socket: PathBuf, args: &HistoryArgs) -> Result<Exit> {
    let zone = TimeZone::system();
    let mut query = query(args, Timestamp::now(), &zone)?;
    let client = daemon::connect(socket).await?;
    let printer = Lister { form: Form::of(args), listing: Listing::new(columns(), zone) };
    let mut out = anstream::stdout();
    let mut left = args.limit;
    let mut first = true;
    loop {
        query.limit = left.min(HISTORY_LIMIT_MAX);
        let page = page(&client, &query).await?;
        out.write_all(&printer.page(&page.rows, first)?).context(OUTPUT)?;
        first = false;
        left = left.saturating_sub(page.rows.len() as u32);
        query.cursor = page.next;
        if left == 0 || page.next.is_none() || page.rows.is_empty() {
            break;
        }
    }
    out.flush().context(OUTPUT)?;
    if let Some(cursor) = query.cursor {
        more(cursor);
    }
    Ok(Exit::Success)
}

const OUTPUT: &str = "could not write the output";

fn more(cursor: Cursor) {
    let text = format!("\nmore: add --cursor {}", view::cursor_text(cursor));
    anstream::eprintln!("{}", paint(FAINT, &text));
}

pub(crate) async fn page(client: &Client, query: &HistoryQuery) -> Result<HistoryPage> {
    match client.request(Request::History(Box::new(query.clone())), Bytes::new()).await? {
        (Reply::History(page), _) => Ok(*page),
        (other, _) => Err(unexpected(other).into()),
    }
}

/// Shows all that is stored of one task.
pub(crate) async fn show(socket: PathBuf, args: &ShowArgs) -> Result<Exit> {
    let row = match daemon::ask(socket, Request::Show(args.task)).await? {
        Reply::Show(row) => row,
        other => return Err(unexpected(other).into()),
    };
    if row.judgment.is_none() && row.failures.is_empty() {
        anstream::eprintln!("nothing is stored of {}; `cynicctl history` lists what is", args.task);
        return Ok(Exit::NotFound);
    }
    let text = if args.json {
        show_view::json_line(args.task, &row)?
    } else {
        show_view::text(args.task, &row, columns(), &TimeZone::system())
    };
    daemon::print(&text)
}

/// How records are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Table,
    Json,
    Csv,
}

impl Form {
    const fn of(args: &HistoryArgs) -> Form {
        match (args.json, args.csv) {
            (true, _) => Form::Json,
            (false, true) => Form::Csv,
            (false, false) => Form::Table,
        }
    }
}

struct Lister {
    form: Form,
    listing: Listing,
}

impl Lister {
    /// A page, with headings before the first.
    fn page(&self, rows: &[HistoryRow], first: bool) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        if first {
            match self.form {
                Form::Table if rows.is_empty() => out.extend(b"no records fit\n"),
                Form::Table => out.extend(self.listing.header().into_bytes()),
                Form::Csv => out.extend(view::csv_header().into_bytes()),
                Form::Json => {}
            }
        }
        for row in rows {
            match self.form {
                Form::Table => out.extend(self.listing.row(row).into_bytes()),
                Form::Csv => out.extend(view::csv_line(row).into_bytes()),
                Form::Json => out.extend(view::json_line(row)?.into_bytes()),
            }
        }
        Ok(out)
    }
}

/// The query for the first page.
///
/// # Errors
/// As [`filter`].
pub fn query(args: &HistoryArgs, now: Timestamp, zone: &TimeZone) -> Result<HistoryQuery> {
    Ok(HistoryQuery {
        cursor: args.cursor,
        limit: args.limit.min(HISTORY_LIMIT_MAX),
        oldest_first: args.oldest_first,
        ..filter(&args.filter, now, zone)?
    })
}

/// The conditions on records.
///
/// # Errors
/// A [`UsageError`]: a time that is none, bounds that exclude each other.
pub fn filter(args: &FilterArgs, now: Timestamp, zone: &TimeZone) -> Result<HistoryQuery> {
    let time = |text: &Option<String>| {
        text.as_deref().map(|text| time(text, now, zone)).transpose().map_err(UsageError)
    };
    let (since, until) = (time(&args.since)?, time(&args.until)?);
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        return Err(UsageError("--since must be before --until".to_owned()).into());
    }
    if args.q_min.zip(args.q_max).is_some_and(|(min, max)| min > max) {
        return Err(UsageError("--q-min must not be above --q-max".to_owned()).into());
    }
    let bounds = |side, bounds: &[(_, f32)]| {
        let bound = move |(dimension, score): &_| DimensionBound {
            dimension: *dimension,
            side,
            score: *score,
        };
        bounds.iter().map(bound).collect::<Vec<_>>()
    };
    Ok(HistoryQuery {
        since_us: since.map(Timestamp::as_microsecond),
        until_us: until.map(Timestamp::as_microsecond),
        verdicts: args.verdict.clone(),
        q_min: args.q_min,
        q_max: args.q_max,
        domain: args.domain,
        client_uid: args.uid,
        item_id: args.item.clone(),
        dimensions: [bounds(Side::Below, &args.below), bounds(Side::Above, &args.above)].concat(),
        error_text: args.error.clone(),
        kinds: if args.failures { RecordKinds::Failures } else { RecordKinds::All },
        ..HistoryQuery::default()
    })
}

/// A time ago (`90m`, `2d`), a date or a date and time in the user's zone, or one with its own zone.
fn time(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    let text = text.trim();
    let ago = text.strip_suffix(" ago").unwrap_or(text);
    if let Some(ago) = time_ago(ago) {
        return now.checked_sub(ago).map_err(|e| format!("{text}: {e}"));
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp);
    }
    let local = text
        .parse::<civil::DateTime>()
        .or_else(|_| {
            text.parse::<civil::Date>().map(|date| date.to_datetime(civil::Time::midnight()))
        })
        .map_err(|_| anyhow!("not a time"))
        .and_then(|local| Ok(local.to_zoned(zone.clone())?.timestamp()));
    local.map_err(|_| {
        format!("`{text}` is no time: write how long ago (90m, 2d) or when (2026-04-14, 2026-04-14T09:00)")
    })
}

/// jiff's durations have no days, since days differ in length; here one is 24 hours.
fn time_ago(text: &str) -> Option<SignedDuration> {
    if let Some(days) = text.strip_suffix('d').and_then(|days| days.trim().parse::<i32>().ok()) {
        return (days >= 0).then(|| SignedDuration::from_hours(i64::from(days) * 24));
    }
    text.parse::<SignedDuration>().ok().filter(|ago| !ago.is_negative())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args as _, Command, FromArgMatches as _};
    use cynic_proto::model::{Dimension, Verdict};

    fn now() -> Timestamp {
        "2026-04-14T12:00:00Z".parse().expect("a time")
    }

    fn asked(args: &[&str]) -> Result<HistoryQuery> {
        let command = HistoryArgs::augment_args(Command::new("history").no_binary_name(true));
        let args = HistoryArgs::from_arg_matches(&command.try_get_matches_from(args)?)?;
        query(&args, now(), &TimeZone::UTC)
    }

    #[test]
    fn times_are_ago_or_at() {
        let cases = [
            ("90m", "2026-04-14T10:30:00Z"),
            ("2d", "2026-04-12T12:00:00Z"),
            ("1h ago", "2026-04-14T11:00:00Z"),
            ("2026-04-13", "2026-04-13T00:00:00Z"),
            ("2026-04-13T09:30", "2026-04-13T09:30:00Z"),
            ("2026-04-13T09:30:00+02:00", "2026-04-13T07:30:00Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(time(text, now(), &TimeZone::UTC), Ok(expected.parse().expect("a time")));
        }
        for wrong in ["", "soon", "-1h", "2026-13-01", "d"] {
            assert!(time(wrong, now(), &TimeZone::UTC).is_err(), "{wrong}");
        }
    }

    #[test]
    fn conditions_reach_the_query() {
        let args = ["--verdict", "bark,growl", "--below", "integrity=40", "--q-max", "30"];
        let query = asked(&args).expect("valid");
        assert_eq!(query.verdicts, [Verdict::Bark, Verdict::Growl]);
        assert_eq!(query.q_max, Some(30.0));
        let bound =
            DimensionBound { dimension: Dimension::Integrity, side: Side::Below, score: 40.0 };
        assert_eq!(query.dimensions, [bound]);
        assert_eq!(query.limit, 50);
    }

    #[test]
    fn impossible_conditions_are_refused() {
        for args in [
            &["--since", "1h", "--until", "2h"][..],
            &["--q-min", "60", "--q-max", "50"],
            &["--q-min", "101"],
            &["--below", "HONESTY=3"],
            &["--cursor", "x"],
            &["--limit", "0"],
            &["--domain", "sports"],
            &["--uid", "root"],
            &["--failures", "--verdict", "bark"],
            &["--error", "x", "--q-max", "50"],
        ] {
            assert!(asked(args).is_err(), "{args:?}");
        }
    }
}
