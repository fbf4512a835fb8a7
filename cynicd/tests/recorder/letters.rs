//! Entries that a database refused: listed, shown, written again, dropped.

use std::collections::BTreeSet;

use cynic_proto::dead_letters::{
    DeadLetter, DeadLettersReply, DeadLettersRequest, ERROR_CHARS_MAX, LETTERS_PAGE, LetterEntry,
    RETRIES_MAX, Retried, RetryOutcome,
};
use cynic_proto::history::{HistoryQuery, HistoryRow, RecordKinds};
use cynic_proto::ids::LetterId;
use cynicd::recorder::{
    Database, Entry, Fate, JudgmentEntry, RecorderError, RecorderHandle, SafePlace,
};

use super::entries::{failure, judgment, notice};
use super::rig::{Rig, on_both_stores, submit};

/// The tables that entries go to.
const TABLES: [&str; 3] = ["judgments", "failures", "notices"];

/// Has the database refuse whatever comes, for that reason.
async fn refuse(rig: &Rig, why: &str) {
    for table in TABLES {
        let sql = match rig.config.database {
            Database::Sqlite => format!(
                "CREATE TRIGGER refuse_{table} BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, '{why}'); END"
            ),
            Database::Postgres(_) => stumble(table, why, "23514"),
        };
        rig.execute(&sql).await;
    }
}

/// A trigger of PostgreSQL that fails with that code.
fn stumble(table: &str, why: &str, code: &str) -> String {
    format!(
        "CREATE FUNCTION refuse_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           RAISE EXCEPTION '{why}' USING ERRCODE = '{code}'; END $$; \
         CREATE TRIGGER refuse_{table} BEFORE INSERT ON {table} \
           FOR EACH ROW EXECUTE FUNCTION refuse_{table}();"
    )
}

/// Has it take entries again.
async fn mend(rig: &Rig) {
    for table in TABLES {
        let sql = match rig.config.database {
            Database::Sqlite => format!("DROP TRIGGER refuse_{table}"),
            Database::Postgres(_) => format!("DROP FUNCTION refuse_{table} CASCADE"),
        };
        rig.execute(&sql).await;
    }
}

async fn page(handle: &RecorderHandle, before: Option<i64>) -> (Vec<DeadLetter>, Option<i64>) {
    match handle.dead_letters(DeadLettersRequest::List(before)).await.unwrap() {
        DeadLettersReply::Page { letters, next } => (letters, next),
        other => panic!("{other:?}"),
    }
}

async fn retried(
    handle: &RecorderHandle,
    request: DeadLettersRequest,
) -> (Vec<Retried>, Option<i64>) {
    match handle.dead_letters(request).await.unwrap() {
        DeadLettersReply::Retried { letters, next } => (letters, next),
        other => panic!("{other:?}"),
    }
}

async fn retry(handle: &RecorderHandle, id: LetterId) -> RetryOutcome {
    let (mut letters, next) = retried(handle, DeadLettersRequest::Retry(id)).await;
    assert_eq!((letters.len(), letters[0].id, next), (1, id, None));
    letters.remove(0).outcome
}

async fn opened(handle: &RecorderHandle, id: LetterId) -> LetterEntry {
    match handle.dead_letters(DeadLettersRequest::Show(id)).await.unwrap() {
        DeadLettersReply::Letter(letter, entry) if letter.id == id => entry,
        other => panic!("{other:?}"),
    }
}

async fn left(rig: &Rig) -> i64 {
    rig.integer("SELECT count(*) FROM dead_letters").await
}

/// Hands over an entry that is refused; the letter's id.
async fn set_aside(handle: &RecorderHandle, entry: Entry) -> LetterId {
    let id = LetterId(entry.key());
    let fate = submit(handle, entry).await.unwrap();
    assert!(matches!(fate, Fate::Refused(_)), "{fate:?}");
    id
}

fn of(entry: &JudgmentEntry) -> Entry {
    Entry::Judgment(Box::new(entry.clone()))
}

fn is_unknown(answer: &Result<DeadLettersReply, RecorderError>) {
    assert!(matches!(answer, Err(RecorderError::NotFound(_))), "{answer:?}");
}

on_both_stores! {
    async fn letters_are_shown_and_written_again_once_the_schema_is_mended(rig: Rig) {
        let handle = rig.start();
        refuse(&rig, "mended by hand").await;
        let judged = judgment(1);
        let failed = failure(2, "it took too long");
        let (task, failed_task) = (judged.task, failed.task().unwrap());
        let mut ids = Vec::new();
        for entry in [of(&judged), failed, notice(3)] {
            ids.push(set_aside(&handle, entry).await);
        }
        assert_eq!(ids[0].0, task.0, "a judgment's letter is named by its task");

        let (letters, next) = page(&handle, None).await;
        let listed: Vec<_> = letters.iter().rev().map(|letter| (letter.id, letter.task)).collect();
        assert_eq!(listed, [(ids[0], Some(task)), (ids[1], Some(failed_task)), (ids[2], None)]);
        assert_eq!(next, None);
        for letter in &letters {
            assert!(letter.error.contains("mended by hand") && letter.bytes > 20, "{letter:?}");
            assert!(letter.at_us > judged.judged_at_us - 1_000_000_000_000_000, "{letter:?}");
        }
        let LetterEntry::Judgment(row) = opened(&handle, ids[0]).await else { panic!() };
        assert_eq!((row.judgment, row.item_id.as_deref()), (judged.judgment.clone(), Some("item-1")));
        let LetterEntry::Failure(row) = opened(&handle, ids[1]).await else { panic!() };
        assert_eq!((row.task, &*row.message), (failed_task, "it took too long"));
        let LetterEntry::Notice { kind, .. } = opened(&handle, ids[2]).await else { panic!() };
        assert_eq!(kind, "worker.died");

        // Still refused, each stays, with all that it is.
        for id in &ids {
            let outcome = retry(&handle, *id).await;
            let RetryOutcome::Refused(why) = &outcome else { panic!("{outcome:?}") };
            assert!(why.contains("mended by hand"), "{why}");
        }
        assert_eq!(page(&handle, None).await.0, letters);

        mend(&rig).await;
        assert_eq!(retry(&handle, ids[0]).await, RetryOutcome::Stored);
        assert_eq!(left(&rig).await, 2);
        let stored = handle.show(task).await.unwrap();
        assert_eq!(stored.judgment.unwrap().judgment, judged.judgment);
        assert_eq!(stored.details.unwrap().evidence.len(), 2);
        let (all, next) = retried(&handle, DeadLettersRequest::RetryAll(None)).await;
        let all: Vec<_> = all.into_iter().map(|letter| (letter.id, letter.outcome)).collect();
        assert_eq!(all, [(ids[1], RetryOutcome::Stored), (ids[2], RetryOutcome::Stored)]);
        assert_eq!((next, left(&rig).await), (None, 0));
        assert_eq!(handle.show(failed_task).await.unwrap().failures.len(), 1);
        assert_eq!(rig.integer("SELECT count(*) FROM notices WHERE kind = 'worker.died'").await, 1);

        // What has landed is no letter any more, and lands no second time.
        is_unknown(&handle.dead_letters(DeadLettersRequest::Retry(ids[0])).await);
        is_unknown(&handle.dead_letters(DeadLettersRequest::Show(ids[0])).await);
        assert_eq!(rig.judgments().await, 1);
        // And what is written after it lands as ever.
        let fate = submit(&handle, of(&judgment(4))).await.unwrap();
        assert_eq!(fate, Fate::Stored { place: SafePlace::Database, earlier: None });
        rig.close().await;
    }

    async fn a_judgment_that_was_stored_meanwhile_stays(rig: Rig) {
        let handle = rig.start();
        let mut late = judgment(3);
        refuse(&rig, "no").await;
        let id = set_aside(&handle, of(&late)).await;
        mend(&rig).await;
        (late.judgment.q_score, late.judgment.partial) = (12.5, true);
        submit(&handle, of(&late)).await.unwrap();
        assert_eq!(retry(&handle, id).await, RetryOutcome::Repeated);
        assert_eq!((left(&rig).await, rig.judgments().await), (0, 1));
        let stored = handle.show(late.task).await.unwrap().judgment.unwrap();
        assert_eq!(stored.judgment, late.judgment);
        rig.close().await;
    }

    async fn of_two_who_retry_a_letter_one_stores_it(rig: Rig) {
        let handle = rig.start();
        refuse(&rig, "no").await;
        let failed = failure(1, "it took too long");
        let task = failed.task().unwrap();
        let id = set_aside(&handle, failed).await;
        mend(&rig).await;
        let retry = || handle.dead_letters(DeadLettersRequest::Retry(id));
        let (one, other) = tokio::join!(retry(), retry());
        let stored = [&one, &other].into_iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(stored, 1, "{one:?} {other:?}");
        is_unknown(if one.is_ok() { &other } else { &one });
        assert_eq!((left(&rig).await, handle.show(task).await.unwrap().failures.len()), (0, 1));
        rig.close().await;
    }

    async fn a_letter_of_another_build_says_so_and_stays(rig: Rig) {
        let handle = rig.start();
        refuse(&rig, "no").await;
        let strange = set_aside(&handle, of(&judgment(1))).await;
        rig.execute(match rig.config.database {
            Database::Sqlite => "UPDATE dead_letters SET entry = CAST(X'09' || substr(entry, 2) AS BLOB)",
            Database::Postgres(_) => "UPDATE dead_letters SET entry = '\\x09'::bytea || substr(entry, 2)",
        }).await;
        let plain = set_aside(&handle, of(&judgment(2))).await;
        mend(&rig).await;
        let LetterEntry::Unreadable(why) = opened(&handle, strange).await else { panic!() };
        assert!(why.contains("format 9"), "{why}");
        assert_eq!(retry(&handle, strange).await, RetryOutcome::Unreadable(why.clone()));
        // It does not stand in the way of the others.
        let (all, _) = retried(&handle, DeadLettersRequest::RetryAll(None)).await;
        let all: Vec<_> = all.into_iter().map(|letter| (letter.id, letter.outcome)).collect();
        assert_eq!(all, [(strange, RetryOutcome::Unreadable(why)), (plain, RetryOutcome::Stored)]);
        let (letters, _) = page(&handle, None).await;
        assert_eq!(letters.iter().map(|letter| letter.id).collect::<Vec<_>>(), [strange]);
        rig.close().await;
    }

    async fn letters_come_in_pages(rig: Rig) {
        let handle = rig.start();
        let all = LETTERS_PAGE + 20;
        let mut fates = Vec::new();
        for n in 0..all {
            let mut broken = judgment(n);
            broken.judgment.q_score = 1000.0;
            fates.push(submit(&handle, of(&broken)));
        }
        for fate in fates {
            assert!(matches!(fate.await.unwrap(), Fate::Refused(_)));
        }
        let (first, next) = page(&handle, None).await;
        let (second, end) = page(&handle, next).await;
        assert_eq!((first.len(), second.len(), end), (LETTERS_PAGE as usize, 20, None));
        let listed: Vec<_> = first.iter().chain(&second).map(|letter| letter.seq).collect();
        assert!(listed.is_sorted_by(|before, after| before > after), "newest first, none twice");

        let (mut tried, mut after) = (Vec::new(), None);
        loop {
            let (some, next) = retried(&handle, DeadLettersRequest::RetryAll(after)).await;
            assert!(some.len() <= RETRIES_MAX as usize);
            tried.extend(some);
            after = next;
            if next.is_none() {
                break;
            }
        }
        assert!(tried.iter().all(|letter| matches!(letter.outcome, RetryOutcome::Refused(_))));
        let tried: Vec<_> = tried.iter().map(|letter| letter.id).collect();
        let oldest_first: Vec<_> = first.iter().chain(&second).rev().map(|letter| letter.id).collect();
        assert_eq!(tried, oldest_first);

        let drop = DeadLettersRequest::Drop(tried[3]);
        assert_eq!(handle.dead_letters(drop).await.unwrap(), DeadLettersReply::Dropped(1));
        is_unknown(&handle.dead_letters(drop).await);
        let kept: BTreeSet<_> = page(&handle, next).await.0.iter().map(|letter| letter.id).collect();
        assert!(!kept.contains(&tried[3]) && kept.contains(&tried[4]));
        for gone in [u64::from(all) - 1, 0] {
            let reply = handle.dead_letters(DeadLettersRequest::DropAll).await.unwrap();
            assert_eq!(reply, DeadLettersReply::Dropped(gone));
        }
        assert_eq!(left(&rig).await, 0);
        rig.close().await;
    }

    async fn errors_of_any_length_are_told_in_part(rig: Rig) {
        let handle = rig.start();
        let id = set_aside(&handle, of(&broken())).await;
        let long = "é".repeat(ERROR_CHARS_MAX * 3);
        rig.execute(&format!("UPDATE dead_letters SET error = '{long}'")).await;
        let (letters, _) = page(&handle, None).await;
        assert_eq!((letters[0].id, letters[0].error.chars().count()), (id, ERROR_CHARS_MAX));
        rig.close().await;
    }
}

fn broken() -> JudgmentEntry {
    let mut entry = judgment(1);
    entry.judgment.confidence = f32::NAN;
    entry
}

/// A database that cannot take a letter now has said nothing against it.
#[tokio::test]
async fn what_cannot_be_written_now_stays_and_what_was_written_is_told() {
    let mut rig = Rig::postgres();
    let handle = rig.start();
    refuse(&rig, "no").await;
    let mut ids = vec![set_aside(&handle, notice(1)).await];
    for n in 2..4 {
        ids.push(set_aside(&handle, of(&judgment(n))).await);
    }
    mend(&rig).await;
    rig.execute(&stumble("judgments", "deadlock detected", "40P01")).await;
    let (done, next) = retried(&handle, DeadLettersRequest::RetryAll(None)).await;
    let done: Vec<_> = done.into_iter().map(|letter| (letter.id, letter.outcome)).collect();
    assert_eq!(done, [(ids[0], RetryOutcome::Stored)]);
    assert!(next.is_some(), "there is more");
    for request in [DeadLettersRequest::RetryAll(next), DeadLettersRequest::Retry(ids[2])] {
        let error = handle.dead_letters(request).await.unwrap_err();
        let RecorderError::NotWritten { why, .. } = &error else { panic!("{error:?}") };
        assert!(why.contains("deadlock"), "{why}");
    }
    assert_eq!(left(&rig).await, 2);

    rig.execute("DROP FUNCTION refuse_judgments CASCADE").await;
    rig.server.as_mut().unwrap().stop();
    assert!(handle.dead_letters(DeadLettersRequest::RetryAll(None)).await.is_err());
    rig.server.as_mut().unwrap().resume();
    let (done, next) = retried(&handle, DeadLettersRequest::RetryAll(None)).await;
    assert!(done.iter().all(|letter| letter.outcome == RetryOutcome::Stored), "{done:?}");
    assert_eq!((done.len(), next, left(&rig).await), (2, None, 0));
    let query = HistoryQuery { kinds: RecordKinds::Judgments, limit: 9, ..HistoryQuery::default() };
    let rows = handle.history(query).await.unwrap().rows;
    assert!(matches!(rows[..], [HistoryRow::Judgment(_), HistoryRow::Judgment(_)]), "{rows:?}");
    rig.close().await;
}
