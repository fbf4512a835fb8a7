//! Queries find what they should, whatever path they take: against a plain filter over all entries.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use cynic_proto::codec;
use cynic_proto::history::{DimensionBound, HistoryQuery, HistoryRow, RecordKinds, Side};
use cynic_proto::model::{Dimension, Domain, Verdict};
use cynicd::recorder::{Entry, JudgmentEntry, RecorderHandle};

use super::entries::{FIRST_US, failure, judgment};
use super::rig::{Rig, on_both_stores, until};

/// Enough for a few zones, and some judgments after the last of them.
const JUDGMENTS: u32 = 700;
const FAILURES: u32 = 40;

fn message(n: u32) -> String {
    match n % 4 {
        0 => format!("the worker met its CPU limit at item {n}"),
        1 => format!("100% of \"quoted\" text_{n}"),
        2 => format!("Größe überschritten {n}"),
        _ => format!("no answer within {n} ms"),
    }
}

async fn fill(handle: &RecorderHandle) -> Vec<JudgmentEntry> {
    let entries: Vec<_> = (0..JUDGMENTS).map(judgment).collect();
    for (n, entry) in (0..).zip(&entries) {
        handle.submit(Entry::Judgment(Box::new(entry.clone())), None).unwrap();
        if n < FAILURES {
            handle.submit(failure(n, &message(n)), None).unwrap();
        }
        if n % 100 == 0 {
            handle.flush().await.unwrap();
        }
    }
    handle.flush().await.unwrap();
    entries
}

/// All rows of all pages, by their names; looks that none comes twice.
async fn all(handle: &RecorderHandle, query: &HistoryQuery) -> Vec<String> {
    let mut query = HistoryQuery { limit: 37, ..query.clone() };
    let mut names = Vec::new();
    loop {
        let page = handle.history(query.clone()).await.unwrap();
        assert!(page.rows.len() <= 37);
        names.extend(page.rows.into_iter().map(|row| match row {
            HistoryRow::Judgment(row) => row.item_id.unwrap(),
            HistoryRow::Failure(row) => row.message,
        }));
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{query:?}");
    names
}

type Wanted = Box<dyn Fn(&JudgmentEntry) -> bool>;

fn queries() -> Vec<(HistoryQuery, Wanted)> {
    let base = || HistoryQuery { kinds: RecordKinds::Judgments, ..HistoryQuery::default() };
    let bound = |dimension, side, score| DimensionBound { dimension, side, score };
    let middle = FIRST_US + 300_000_000;
    vec![
        (base(), Box::new(|_| true)),
        (
            HistoryQuery { since_us: Some(middle), until_us: Some(middle + 50_000_000), ..base() },
            Box::new(move |e| (middle..middle + 50_000_000).contains(&e.judged_at_us)),
        ),
        (
            HistoryQuery { verdicts: vec![Verdict::Howl, Verdict::Bark], ..base() },
            Box::new(|e| matches!(e.judgment.verdict, Verdict::Howl | Verdict::Bark)),
        ),
        (
            HistoryQuery { q_min: Some(20.0), q_max: Some(21.5), ..base() },
            Box::new(|e| (20.0..=21.5).contains(&e.judgment.q_score)),
        ),
        // As a number of single precision it lies below what people write.
        (
            HistoryQuery { q_min: Some(62.3), q_max: Some(62.3), ..base() },
            Box::new(|e| (62.3..=62.3).contains(&e.judgment.q_score)),
        ),
        (
            HistoryQuery { domain: Some(Domain::Shell), ..base() },
            Box::new(|e| e.judgment.domain == Domain::Shell),
        ),
        (HistoryQuery { client_uid: Some(1001), ..base() }, Box::new(|e| e.client_uid == 1001)),
        (HistoryQuery { client_uid: Some(4), ..base() }, Box::new(|_| false)),
        (
            HistoryQuery { item_id: Some("item-333".to_owned()), ..base() },
            Box::new(|e| e.judgment.body_bytes == 1333),
        ),
        (
            HistoryQuery {
                dimensions: vec![
                    bound(Dimension::Integrity, Side::Below, 30.0),
                    bound(Dimension::Utility, Side::Above, 12.5),
                ],
                ..base()
            },
            Box::new(|e| {
                e.judgment.dimension(Dimension::Integrity) < 30.0
                    && e.judgment.dimension(Dimension::Utility) > 12.5
            }),
        ),
        (
            HistoryQuery {
                verdicts: vec![Verdict::Growl, Verdict::Bark],
                domain: Some(Domain::Shell),
                dimensions: vec![bound(Dimension::Candor, Side::Below, 60.0)],
                ..base()
            },
            Box::new(|e| {
                matches!(e.judgment.verdict, Verdict::Growl | Verdict::Bark)
                    && e.judgment.domain == Domain::Shell
                    && e.judgment.dimension(Dimension::Candor) < 60.0
            }),
        ),
        (
            HistoryQuery {
                domain: Some(Domain::Prose),
                client_uid: Some(1002),
                q_min: Some(50.0),
                ..base()
            },
            Box::new(|e| {
                e.judgment.domain == Domain::Prose
                    && e.client_uid == 1002
                    && e.judgment.q_score >= 50.0
            }),
        ),
    ]
}

on_both_stores! {
    async fn a_judgments_features_are_those_of_its_explanation(rig: Rig) {
        let handle = rig.start();
        fill(&handle).await;
        let asked = HistoryQuery { features: true, limit: 250, ..HistoryQuery::default() };
        let page = handle.history(asked.clone()).await.unwrap();
        let mut judgments = 0;
        for row in page.rows {
            let HistoryRow::Judgment(row) = row else { continue };
            let features = row.features.unwrap();
            let features: Vec<_> = features.iter().map(|(code, sum)| (code.as_str(), *sum)).collect();
            assert_eq!(features, [("secret.password", -12.5), ("text.short", 2.0)]);
            judgments += 1;
        }
        assert!(judgments > 200, "more than are read at once: {judgments}");
        let page = handle.history(HistoryQuery { features: false, ..asked }).await.unwrap();
        assert!(page.rows.iter().all(|row| match row {
            HistoryRow::Judgment(row) => row.features.is_none(),
            HistoryRow::Failure(_) => true,
        }));
        rig.close().await;
    }

    async fn every_filter_finds_what_a_plain_one_finds_in_both_orders(rig: Rig) {
        let handle = rig.start();
        let entries = fill(&handle).await;
        if rig.server.is_none() {
            until("zones are made", async || rig.integer("SELECT count(*) FROM zones").await == 2).await;
        }
        for (query, wanted) in queries() {
            let plain: Vec<_> = (0..)
                .zip(&entries)
                .filter(|(_, e)| wanted(e))
                .map(|(n, _)| format!("item-{n}"))
                .collect();
            let oldest = HistoryQuery { oldest_first: true, ..query.clone() };
            assert_eq!(all(&handle, &oldest).await, plain, "{oldest:?}");
            let newest: Vec<_> = plain.into_iter().rev().collect();
            assert_eq!(all(&handle, &query).await, newest, "{query:?}");
        }
        rig.close().await;
    }

    async fn zones_are_the_same_as_they_are_written_and_as_they_are_read_again(rig: Rig) {
        if rig.server.is_some() {
            return;
        }
        let handle = rig.start();
        fill(&handle).await;
        let made = async || until("zones are made", async || rig.integer("SELECT count(*) FROM zones").await == 2).await;
        made().await;
        rig.execute("CREATE TABLE zones_written AS SELECT * FROM zones").await;
        rig.execute("CREATE TABLE sketches_written AS SELECT * FROM sketches").await;
        rig.execute("DELETE FROM zones").await;
        made().await;
        for differ in [
            "SELECT count(*) FROM (SELECT * FROM zones_written EXCEPT SELECT * FROM zones)",
            "SELECT count(*) FROM (SELECT * FROM sketches_written EXCEPT SELECT * FROM sketches)",
        ] {
            assert_eq!(rig.integer(differ).await, 0, "{differ}");
        }
        rig.close().await;
    }

    async fn failures_are_found_by_any_text_in_their_message(rig: Rig) {
        let handle = rig.start();
        fill(&handle).await;
        for text in ["CPU limit", "cpu LIMIT", "100%", "text_1", "\"quoted\"", "ms", "überschritten", "nothing of it"] {
            let lower = text.to_lowercase();
            let wanted: Vec<_> = (0..FAILURES)
                .rev()
                .map(message)
                .filter(|message| message.to_lowercase().contains(&lower))
                .collect();
            let query = HistoryQuery { error_text: Some(text.to_owned()), ..HistoryQuery::default() };
            assert_eq!(all(&handle, &query).await, wanted, "{text}");
        }
        rig.close().await;
    }

    async fn judgments_and_failures_come_together_in_the_order_of_time(rig: Rig) {
        let handle = rig.start();
        fill(&handle).await;
        let query = HistoryQuery { oldest_first: true, until_us: Some(FIRST_US + 3_000_000), ..HistoryQuery::default() };
        let found = all(&handle, &query).await;
        let wanted = ["item-0", &message(0), "item-1", &message(1), "item-2", &message(2)].map(str::to_owned);
        assert_eq!(found, wanted);
        rig.close().await;
    }

    async fn what_comes_after_the_first_page_is_on_no_later_one(rig: Rig) {
        let handle = rig.start();
        for n in 1..=4 {
            handle.submit(Entry::Judgment(Box::new(judgment(n))), None).unwrap();
        }
        handle.flush().await.unwrap();
        let mut query = HistoryQuery { limit: 2, ..HistoryQuery::default() };
        let page = handle.history(query.clone()).await.unwrap();
        handle.submit(failure(5, "later"), None).unwrap();
        handle.submit(Entry::Judgment(Box::new(judgment(6))), None).unwrap();
        handle.flush().await.unwrap();
        query.cursor = page.next;
        let shown = all(&handle, &query).await.len();
        assert_eq!((page.rows.len(), shown), (2, 2));
        rig.close().await;
    }

    async fn pages_of_long_records_end_earlier(rig: Rig) {
        const BYTES_MAX: usize = 4000;
        rig.config.page_bytes_max = BYTES_MAX;
        let handle = rig.start();
        fill(&handle).await;
        let long = "x".repeat(BYTES_MAX);
        handle.submit(failure(FAILURES, &long), None).unwrap();
        handle.flush().await.unwrap();
        let mut query = HistoryQuery { limit: 1000, features: true, ..HistoryQuery::default() };
        let (mut rows, mut alone) = (0, 0);
        loop {
            let page = handle.history(query.clone()).await.unwrap();
            let bytes: usize = page.rows.iter().map(|row| codec::encode(row).unwrap().len()).sum();
            assert!(bytes <= BYTES_MAX || page.rows.len() == 1, "{bytes} in {}", page.rows.len());
            alone += usize::from(bytes > BYTES_MAX);
            rows += page.rows.len();
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        assert_eq!((rows, alone), ((JUDGMENTS + FAILURES + 1) as usize, 1));
        assert_eq!(all(&handle, &HistoryQuery::default()).await.len(), rows, "none twice");
        rig.close().await;
    }

    async fn old_and_surplus_records_go_and_the_rest_stays_and_is_found(rig: Rig) {
        rig.config.retention.rows_max = None;
        let handle = rig.start();
        fill(&handle).await;
        if rig.server.is_none() {
            until("zones are made", async || rig.integer("SELECT count(*) FROM zones").await == 2).await;
        } else {
            rig.execute("ANALYZE").await;
        }
        rig.close().await;
        // By count.
        rig.config.retention.rows_max = Some(300);
        let handle = rig.start();
        until("the surplus is gone", async || rig.judgments().await == 300).await;
        let everything = HistoryQuery { kinds: RecordKinds::Judgments, ..HistoryQuery::default() };
        let rest: Vec<_> = (400..JUDGMENTS).rev().map(|n| format!("item-{n}")).collect();
        assert_eq!(all(&handle, &everything).await, rest);
        rig.close().await;
        // By age. The newest record always stays: it carries the numbering on.
        rig.config.retention.rows_max = None;
        let cutoff = UNIX_EPOCH + Duration::from_micros(FIRST_US as u64 + 650_000_000);
        rig.config.retention.age_max = Some(cutoff.elapsed().expect("the entries are of the past"));
        let handle = rig.start();
        until("the old are gone", async || rig.judgments().await <= 50).await;
        let rest = all(&handle, &everything).await;
        assert_eq!(rest.first().map(String::as_str), Some("item-699"));
        until("failures too", async || rig.integer("SELECT count(*) FROM failures").await <= 1).await;
        rig.close().await;
    }
}
