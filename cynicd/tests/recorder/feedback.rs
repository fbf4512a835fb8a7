//! What people say about judgments, and what calibration makes of it.

use std::path::Path;

use cynic_proto::calibration::{Calibration, CalibrationRequest};
use cynic_proto::history::{Feedback, Truth};
use cynic_proto::ids::TaskId;
use cynic_proto::model::{Domain, Verdict};
use cynicd::recorder::{Entry, RecorderError, RecorderHandle};

use super::entries::{entry, judgment};
use super::rig::{Rig, on_both_stores, submit};

fn said(task: TaskId, truth: Truth, note: Option<&str>) -> Feedback {
    Feedback { task, truth, note: note.map(str::to_owned), client_uid: 1001 }
}

/// Sixty judgments of commands, of which those below 56 turn out to be bad.
async fn say_that_the_bad_end_at_56(handle: &RecorderHandle) {
    for n in 0..60_u8 {
        let mut entry = judgment(n.into());
        entry.judgment.domain = Domain::Shell;
        entry.judgment.q_score = f32::from(n) + 20.0;
        let task = entry.task;
        let truth = if entry.judgment.q_score < 56.0 { Truth::Bad } else { Truth::Good };
        handle.submit(Entry::Judgment(Box::new(entry)), None).unwrap();
        handle.feedback(said(task, truth, None)).await.unwrap();
    }
}

on_both_stores! {
    async fn feedback_is_kept_and_said_again_replaces_it(rig: Rig) {
        let handle = rig.start();
        let judged = judgment(1);
        let task = judged.task;
        submit(&handle, Entry::Judgment(Box::new(judged))).await.unwrap();
        handle.feedback(said(task, Truth::Good, Some("fine\0"))).await.unwrap();
        let given = handle.feedback(said(task, Truth::Bad, Some("it was phishing"))).await.unwrap();
        let shown = handle.show(task).await.unwrap();
        assert_eq!(shown.feedback, Some(given));
        assert_eq!(shown.judgment.unwrap().feedback, Some(Truth::Bad));
        assert_eq!(rig.integer("SELECT count(*) FROM episodes WHERE truth = 'bad'").await, 1);
        assert_eq!(rig.integer("SELECT count(*) FROM feedback").await, 1);
        rig.close().await;
    }

    async fn feedback_on_nothing_or_without_end_is_refused(rig: Rig) {
        let handle = rig.start();
        let unknown = handle.feedback(said(TaskId::new(), Truth::Bad, None)).await.unwrap_err();
        assert!(matches!(unknown, RecorderError::NotFound(_)), "{unknown}");
        let judged = judgment(1);
        let task = judged.task;
        handle.submit(Entry::Judgment(Box::new(judged)), None).unwrap();
        let long = said(task, Truth::Bad, Some(&"x".repeat(2001)));
        assert!(matches!(handle.feedback(long).await.unwrap_err(), RecorderError::Refused(_)));
        assert_eq!(rig.integer("SELECT count(*) FROM feedback").await, 0);
        rig.close().await;
    }

    async fn a_calibration_is_tried_put_to_use_survives_and_is_taken_back(rig: Rig) {
        let handle = rig.start();
        say_that_the_bad_end_at_56(&handle).await;
        let tried = handle.calibrate(CalibrationRequest::DryRun, None).await.unwrap();
        assert!(!tried.applied && tried.before == Calibration::default());
        assert_eq!(tried.after.version, 1);
        assert_eq!(handle.calibration().version, 0);
        assert_eq!(rig.integer("SELECT count(*) FROM calibrations").await, 0);
        let [line] = &tried.domains[..] else { panic!("{:?}", tried.domains) };
        assert_eq!((line.domain, line.good, line.bad), (Domain::Shell, 24, 36));
        assert!(line.after.accuracy > line.before.accuracy, "{line:?}");

        let fitted = handle.calibrate(CalibrationRequest::Fit, None).await.unwrap();
        assert!(fitted.applied);
        assert_eq!(fitted.after, tried.after);
        assert_eq!(*handle.calibration(), fitted.after);
        let mut judged = judgment(99).judgment;
        (judged.domain, judged.q_score) = (Domain::Shell, 54.0);
        handle.calibration().apply(&mut judged);
        assert_eq!(judged.verdict, Verdict::Growl);
        // Nothing new was said: nothing new is made.
        let again = handle.calibrate(CalibrationRequest::Fit, None).await.unwrap();
        assert!(!again.applied && again.before == again.after, "{again:?}");

        rig.close().await;
        let handle = rig.start();
        assert_eq!(*handle.calibration(), fitted.after);
        let back = handle.calibrate(CalibrationRequest::Use(0), None).await.unwrap();
        assert!(back.applied);
        assert_eq!(*handle.calibration(), Calibration::default());
        assert_eq!(back.versions.iter().map(|v| (v.version, v.in_use)).collect::<Vec<_>>(), [(1, false), (0, true)]);
        let forward = handle.calibrate(CalibrationRequest::Use(1), None).await.unwrap();
        assert_eq!(forward.after, fitted.after);
        let none = handle.calibrate(CalibrationRequest::Use(7), None).await.unwrap_err();
        assert!(matches!(none, RecorderError::NotFound(_)), "{none}");
        assert_eq!(handle.calibration().version, 1);
        rig.close().await;
    }

    async fn what_was_in_use_before_is_taken_up_again(rig: Rig) {
        let handle = rig.start();
        say_that_the_bad_end_at_56(&handle).await;
        let use_ = async |request| handle.calibrate(request, None).await.map(|report| report.after.version);
        assert_eq!(use_(CalibrationRequest::Fit).await.unwrap(), 1);
        let copy = "INSERT INTO calibrations SELECT 2, created_at_us, feedbacks, thresholds FROM calibrations";
        rig.execute(copy).await;
        // The one that was thrown out is not what was in use before the third.
        assert_eq!(use_(CalibrationRequest::Use(2)).await.unwrap(), 2);
        assert_eq!(use_(CalibrationRequest::Use(0)).await.unwrap(), 0);
        assert_eq!(use_(CalibrationRequest::Fit).await.unwrap(), 3);
        assert_eq!(use_(CalibrationRequest::Revert).await.unwrap(), 0);
        assert!(use_(CalibrationRequest::Revert).await.is_err(), "there is nothing before that");
        // Step by step back to the beginning.
        assert_eq!(use_(CalibrationRequest::Use(2)).await.unwrap(), 2);
        assert_eq!(use_(CalibrationRequest::Revert).await.unwrap(), 1);
        assert_eq!(use_(CalibrationRequest::Revert).await.unwrap(), 0);
        rig.close().await;
    }

    async fn feedback_on_another_judge_is_left_out(rig: Rig) {
        let handle = rig.start();
        say_that_the_bad_end_at_56(&handle).await;
        let own = judgment(1).judgment.judge_version;
        let fits = async |judge| {
            let report = handle.calibrate(CalibrationRequest::DryRun, judge).await.unwrap();
            report.before != report.after
        };
        assert!(fits(None).await && fits(Some(own)).await);
        assert!(!fits(Some(own + 1)).await);
        rig.close().await;
    }

    async fn a_calibration_that_cannot_be_read_stays_out_of_use_and_is_taken_back(rig: Rig) {
        let handle = rig.start();
        say_that_the_bad_end_at_56(&handle).await;
        handle.calibrate(CalibrationRequest::Fit, None).await.unwrap();
        rig.close().await;
        rig.execute("UPDATE calibrations SET thresholds = 'nonsense'").await;
        let handle = rig.start();
        let named = handle.calibrate(CalibrationRequest::Use(1), None).await.unwrap_err().to_string();
        assert!(named.contains("calibrate --revert"), "{named}");
        let back = handle.calibrate(CalibrationRequest::Use(0), None).await.unwrap();
        assert!(back.applied);
        assert_eq!(*handle.calibration(), Calibration::default());
        let in_use = "SELECT version FROM calibration_uses ORDER BY seq DESC LIMIT 1";
        assert_eq!(rig.integer(in_use).await, 0);
        rig.close().await;
    }

    async fn what_calibration_learns_from_is_the_uncalibrated_confidence(rig: Rig) {
        let handle = rig.start();
        say_that_the_bad_end_at_56(&handle).await;
        let fitted = handle.calibrate(CalibrationRequest::Fit, None).await.unwrap().after;
        let factor = fitted.of(Domain::Shell).confidence_factor;
        let mut judged = judgment(70);
        judged.judgment.domain = Domain::Shell;
        judged.judgment.confidence = 0.4 * factor;
        judged.calibration = fitted.version;
        let task = judged.task;
        handle.submit(Entry::Judgment(Box::new(judged)), None).unwrap();
        handle.feedback(said(task, Truth::Good, None)).await.unwrap();
        let kept = "SELECT count(*) FROM feedback WHERE confidence BETWEEN 0.39999 AND 0.40001";
        assert_eq!(rig.integer(kept).await, 1);
        assert_eq!(handle.show(task).await.unwrap().judgment.unwrap().calibration, 1);
        rig.close().await;
    }
}

/// The verdicts of a gate must not change because its database is away when it starts.
#[tokio::test]
async fn a_calibration_stays_in_use_when_the_database_cannot_be_reached() {
    let mut rig = Rig::postgres();
    let handle = rig.start();
    say_that_the_bad_end_at_56(&handle).await;
    let fitted = handle.calibrate(CalibrationRequest::Fit, None).await.unwrap().after;
    rig.close().await;
    rig.server.as_mut().unwrap().stop();
    let handle = rig.start();
    assert_eq!(*handle.calibration(), fitted);
    assert!(handle.calibrate(CalibrationRequest::Show, None).await.is_err());
    rig.server.as_mut().unwrap().resume();
    rig.close().await;
}

#[tokio::test]
async fn a_backup_is_whole_while_writing_goes_on_and_starts_a_recorder() {
    let mut rig = Rig::sqlite();
    let handle = rig.start();
    for n in 0..500 {
        handle.submit(entry(n), None).unwrap();
    }
    let path = rig.dir.path().join("backup.db");
    let (made, ()) = tokio::join!(handle.backup(path.clone()), async {
        for n in 500..700 {
            submit(&handle, entry(n)).await.unwrap();
        }
    });
    let made = made.unwrap();
    assert!((500..=700).contains(&made.judgments), "{made:?}");
    assert_eq!(made.bytes, path.metadata().unwrap().len());
    assert_eq!(rig.judgments().await, 700);
    rig.close().await;

    // As docs/storage.md says how to restore.
    let mut restored = Rig::sqlite();
    std::fs::create_dir_all(&restored.config.data_dir).unwrap();
    std::fs::copy(&path, restored.database()).unwrap();
    let handle = restored.start();
    assert_eq!(restored.judgments().await as u64, made.judgments);
    submit(&handle, entry(1000)).await.unwrap();
    assert_eq!(restored.judgments().await as u64, made.judgments + 1);
    restored.close().await;
}

#[tokio::test]
async fn a_backup_replaces_nothing_and_leaves_nothing_half_made() {
    let mut rig = Rig::sqlite();
    let handle = rig.start();
    submit(&handle, entry(1)).await.unwrap();
    let database = rig.database();
    let refused = handle.backup(database.clone()).await.unwrap_err();
    assert!(format!("{refused:?}").contains("exists"), "{refused:?}");
    assert!(handle.backup(Path::new("relative.db").to_owned()).await.is_err());
    let nowhere = rig.dir.path().join("no/such/directory/backup.db");
    assert!(handle.backup(nowhere).await.is_err());
    let mut journal = database.clone().into_os_string();
    journal.push("-journal");
    let refused = handle.backup(journal.into()).await.unwrap_err();
    assert!(refused.to_string().contains("named like a file of the store"), "{refused}");
    assert_eq!(rig.judgments().await, 1);
    let left: Vec<_> = std::fs::read_dir(&rig.config.data_dir)
        .unwrap()
        .filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().contains("unfinished"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    rig.close().await;
}

#[tokio::test]
async fn a_backup_of_postgresql_is_made_with_its_own_tools() {
    let mut rig = Rig::postgres();
    let handle = rig.start();
    let refused = handle.backup("/tmp/backup.db".into()).await.unwrap_err();
    assert!(refused.to_string().contains("pg_dump"), "{refused}");
    rig.close().await;
}
