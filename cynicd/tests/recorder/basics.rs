//! What both stores must do while nothing goes wrong.

use std::time::Duration;

use cynic_proto::error::{Death, DeathCause};
use cynic_proto::explanation;
use cynic_proto::history::{HistoryQuery, HistoryRow, RecordKinds};
use cynic_proto::ids::WorkerId;
use cynic_proto::judgment::Details;
use cynic_proto::message::Ack;
use cynicd::recorder::{Entry, Fate, SafePlace};

use super::entries::{self, SECRET, entry, failure, judgment, notice};
use super::rig::{Rig, on_both_stores, status, submit};

on_both_stores! {
    async fn what_is_stored_reads_back_as_it_was(rig: Rig) {
        let handle = rig.start();
        let wanted = judgment(7);
        let fate = submit(&handle, Entry::Judgment(Box::new(wanted.clone()))).await.unwrap();
        assert_eq!(fate, Fate::Stored { place: SafePlace::Database, earlier: None });
        let show = handle.show(wanted.task).await.unwrap();
        let row = show.judgment.expect("it is stored");
        assert_eq!(row.judgment, wanted.judgment);
        assert_eq!(row.worker, wanted.worker);
        assert_eq!(row.timings, wanted.timings);
        assert_eq!(row.judged_at_us, wanted.judged_at_us);
        assert_eq!(row.client_uid, wanted.client_uid);
        assert_eq!(row.item_id.as_deref(), Some("item-7"));
        assert_eq!(row.summary, "text of 1007 bytes");
        let details = show.details.expect("it is explained");
        assert_eq!(details.evidence.len(), 2);
        assert_eq!(details.evidence[1].text.as_deref(), Some("little to go on"));
        rig.close().await;
    }

    async fn content_is_not_stored_unless_asked_for(rig: Rig) {
        let handle = rig.start();
        let plain = judgment(1);
        submit(&handle, Entry::Judgment(Box::new(plain.clone()))).await.unwrap();
        let show = handle.show(plain.task).await.unwrap();
        assert_eq!(show.content, None);
        assert_eq!(show.details.unwrap().evidence[0].text, None);
        assert_eq!(
            rig.integer("SELECT count(*) FROM judgments WHERE content IS NOT NULL").await,
            0
        );
        // Each entry says it for itself, so that a reload goes for the next one.
        let mut kept = judgment(2);
        kept.content = Some(format!("my password={SECRET}").into_bytes());
        submit(&handle, Entry::Judgment(Box::new(kept.clone()))).await.unwrap();
        let show = handle.show(kept.task).await.unwrap();
        assert_eq!(show.content, kept.content);
        assert!(show.details.unwrap().evidence[0].text.as_ref().unwrap().contains(SECRET));
        rig.close().await;
    }

    async fn all_that_belongs_to_a_judgment_lands_together(rig: Rig) {
        let handle = rig.start();
        handle.submit(entry(1), None).unwrap();
        handle.submit(failure(2, "it took too long"), None).unwrap();
        handle.submit(notice(3), None).unwrap();
        handle.flush().await.unwrap();
        assert_eq!(handle.status().stats.transactions, 1);
        assert_eq!(rig.judgments().await, 1);
        assert_eq!(rig.integer("SELECT count(*) FROM episodes").await, 1);
        assert_eq!(rig.integer("SELECT count(*) FROM events").await, 3);
        rig.close().await;
    }

    async fn a_batch_is_one_transaction_and_one_round_trip(rig: Rig) {
        rig.config.flush_rows = 40;
        rig.config.flush_interval = Duration::from_mins(1);
        let handle = rig.start();
        for n in 0..40 {
            handle.submit(entry(n), None).unwrap();
        }
        let last = submit(&handle, entry(40));
        last.await.unwrap();
        handle.flush().await.unwrap();
        let stats = handle.status().stats;
        assert_eq!(stats.flushed, 41);
        assert!(stats.transactions <= 3, "{stats:?}");
        assert!(stats.round_trips_per_judgment <= 0.1, "{stats:?}");
        assert_eq!(rig.judgments().await, 41);
        rig.close().await;
    }

    async fn a_few_entries_wait_no_longer_than_the_interval(rig: Rig) {
        let handle = rig.start();
        handle.submit(entry(1), None).unwrap();
        status(&handle, |status| status.stats.flushed == 1).await;
        assert_eq!(rig.judgments().await, 1);
        rig.close().await;
    }

    async fn closing_writes_what_is_left_and_takes_no_more(rig: Rig) {
        rig.config.flush_interval = Duration::from_hours(1);
        let handle = rig.start();
        for n in 0..9 {
            handle.submit(entry(n), None).unwrap();
        }
        let report = rig.close().await;
        assert_eq!((report.lost, report.spooled), (0, 0));
        assert_eq!(rig.judgments().await, 9);
        assert!(handle.submit(entry(10), None).is_err());
    }

    async fn the_first_judgment_of_a_task_stays(rig: Rig) {
        let handle = rig.start();
        let first = judgment(1);
        let mut second = judgment(2);
        second.task = first.task;
        // Together in one batch, and later again.
        handle.submit(Entry::Judgment(Box::new(first.clone())), None).unwrap();
        for _ in 0..2 {
            let fate = submit(&handle, Entry::Judgment(Box::new(second.clone()))).await.unwrap();
            let Fate::Stored { earlier: Some(earlier), .. } = fate else { panic!("{fate:?}") };
            assert_eq!(earlier.row.judgment, first.judgment);
            let details = explanation::decode(&earlier.explanation).unwrap();
            assert_eq!(details.item_id, Some("item-1"));
        }
        // The same once more is no other judgment.
        let fate = submit(&handle, Entry::Judgment(Box::new(first.clone()))).await.unwrap();
        assert_eq!(fate, Fate::Stored { place: SafePlace::Database, earlier: None });
        assert_eq!(rig.judgments().await, 1);
        rig.close().await;
    }

    async fn a_task_is_found_before_and_after_its_commit(rig: Rig) {
        rig.config.flush_interval = Duration::from_hours(1);
        let handle = rig.start();
        let wanted = judgment(5);
        assert_eq!(handle.lookup(wanted.task).await.unwrap(), None);
        handle.submit(Entry::Judgment(Box::new(wanted.clone())), None).unwrap();
        let buffered = handle.lookup(wanted.task).await.unwrap().expect("it is in memory");
        handle.flush().await.unwrap();
        let mut stored = handle.lookup(wanted.task).await.unwrap().expect("it is in the database");
        assert_eq!((buffered.reached, stored.reached), (Ack::Judged, Ack::Stored));
        (stored.row.seq, stored.reached) = (buffered.row.seq, buffered.reached);
        assert_eq!(stored, buffered);
        assert_eq!(stored.row.judgment, wanted.judgment);
        rig.close().await;
    }

    async fn a_row_that_breaks_its_batch_is_set_aside_and_the_others_land(rig: Rig) {
        rig.config.flush_rows = 30;
        rig.config.flush_interval = Duration::from_hours(1);
        let handle = rig.start();
        let mut fates = Vec::new();
        for n in 0..30 {
            let mut entry = judgment(n);
            if n == 17 {
                entry.judgment.q_score = 1000.0;
            }
            if n == 23 {
                entry.judgment.dimensions[4] = f32::NAN;
                entry.judgment.confidence = f32::NAN;
            }
            fates.push(submit(&handle, Entry::Judgment(Box::new(entry))));
        }
        let mut refused = Vec::new();
        for (n, fate) in fates.into_iter().enumerate() {
            match fate.await.unwrap() {
                Fate::Refused(error) => refused.push((n, error)),
                fate => assert_eq!(fate, Fate::Stored { place: SafePlace::Database, earlier: None }),
            }
        }
        assert_eq!(refused.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [17, 23], "{refused:?}");
        assert_eq!(rig.judgments().await, 28);
        let dead = "SELECT count(*) FROM dead_letters WHERE task_id IS NOT NULL AND error <> ''";
        assert_eq!(rig.integer(dead).await, 2);
        status(&handle, |status| status.stats.dead_letters == 2).await;
        rig.close().await;
    }

    async fn hostile_text_and_unreadable_details_are_stored_harmlessly(rig: Rig) {
        let handle = rig.start();
        let mut hostile = judgment(1);
        let details = Details {
            item_id: Some("a\0b'); DROP TABLE judgments; --".repeat(20)),
            summary: "\0\u{1f600}".repeat(1000),
            ..Details::default()
        };
        hostile.explanation = explanation::encode(&details).unwrap();
        let mut garbage = judgment(2);
        garbage.explanation = vec![0xff; 100];
        let fates = [hostile.clone(), garbage.clone()].map(|e| submit(&handle, Entry::Judgment(Box::new(e))));
        for fate in fates {
            assert!(matches!(fate.await.unwrap(), Fate::Stored { .. }));
        }
        handle.submit(failure(3, "a\0b"), None).unwrap();
        handle.flush().await.unwrap();
        let shown = handle.show(hostile.task).await.unwrap().judgment.unwrap();
        assert!(shown.item_id.unwrap().starts_with("a\u{fffd}b'); DROP TABLE"));
        let shown = handle.show(garbage.task).await.unwrap();
        assert!(shown.details_unreadable && shown.judgment.unwrap().summary.contains("could not be read"));
        assert_eq!(rig.integer("SELECT count(*) FROM failures").await, 1);
        rig.close().await;
    }

    async fn what_a_worker_says_last_is_kept_and_hides_no_page(rig: Rig) {
        let handle = rig.start();
        let said = "json: \\u0000 is \\\\u0000, not \u{fffd}";
        let mut entry = failure(1, "it died");
        let Entry::Failure(died) = &mut entry else { panic!("it is one") };
        died.deaths = vec![Death {
            cause: DeathCause::Signal(11),
            worker: WorkerId { slot: 1, generation: 7 },
            task: None,
            stage: None,
            dimension: None,
            stderr_tail: said.replace('\u{fffd}', "\0"),
        }];
        let task = died.task;
        submit(&handle, entry).await.unwrap();
        let shown = handle.show(task).await.unwrap().failures;
        assert_eq!(shown[0].deaths[0].stderr_tail, said);
        // As earlier builds left it on PostgreSQL.
        rig.execute("UPDATE failures SET deaths = '[{\"stderr_tail\":\"\\\"}]'").await;
        let page = handle.history(HistoryQuery { limit: 6, kinds: RecordKinds::Failures, ..HistoryQuery::default() }).await.unwrap();
        let [HistoryRow::Failure(row)] = &page.rows[..] else { panic!("{page:?}") };
        assert_eq!((row.message.as_str(), &row.deaths[..]), ("it died", &[][..]));
        rig.close().await;
    }

    async fn a_clock_set_back_does_not_disturb_the_pages(rig: Rig) {
        let handle = rig.start();
        for n in 0..20 {
            let mut entry = judgment(n);
            entry.judged_at_us = entries::FIRST_US - i64::from(n % 7) * 3_600_000_000;
            handle.submit(Entry::Judgment(Box::new(entry)), None).unwrap();
        }
        handle.flush().await.unwrap();
        let mut query = HistoryQuery { limit: 6, ..HistoryQuery::default() };
        let mut seen = Vec::new();
        loop {
            let page = handle.history(query.clone()).await.unwrap();
            seen.extend(page.rows.iter().map(|row| match row {
                HistoryRow::Judgment(row) => row.judgment.body_bytes - 1000,
                HistoryRow::Failure(_) => panic!("there is none"),
            }));
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..20).rev().collect::<Vec<_>>());
        rig.close().await;
    }
}
