//! Feedback and the calibrations made of it, as they are stored. How thresholds are fitted is decided in
//! [`crate::calibration`]; nothing here is on the way of a judgment.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use cynic_proto::calibration::{
    Calibration, CalibrationReport, CalibrationRequest, CalibrationVersion, DomainCalibration,
    Thresholds,
};
use cynic_proto::history::{Feedback, FeedbackRow, JudgmentRow, check_note};
use cynic_proto::model::Domain;
use sqlx::Row;

use super::error::RecorderError;
use super::query::Bind;
use super::read::{self, rows};
use super::record::clean;
use super::store::{Store, Stores, describe};
use crate::calibration::{self, FEEDBACKS_MAX, Sample};

/// Calibrations listed in a report.
const VERSIONS_SHOWN_MAX: u32 = 1000;

fn failed(action: &'static str) -> impl Fn(sqlx::Error) -> RecorderError {
    move |source| RecorderError::Query { action, source }
}

/// What makes no sense in a feedback, if anything.
pub(super) fn check(feedback: &Feedback) -> Result<(), RecorderError> {
    feedback.note.as_deref().map_or(Ok(()), check_note).map_err(RecorderError::Refused)
}

impl Stores {
    /// Stores what somebody says about a judgment, with what calibration needs of it.
    pub(super) async fn give_feedback(
        &self,
        feedback: Feedback,
        judged: &JudgmentRow,
    ) -> Result<FeedbackRow, RecorderError> {
        let failed = failed("store the feedback");
        let made_with = match judged.calibration {
            0 => Calibration::default(),
            version => self.calibration_of(version).await?.unwrap_or_default(),
        };
        let judgment = &judged.judgment;
        let row = FeedbackRow {
            truth: feedback.truth,
            note: feedback.note.map(clean),
            client_uid: feedback.client_uid,
            given_at_us: super::unix_us(),
        };
        let mut sql = self.sql(
            "INSERT INTO feedback (truth, note, client_uid, given_at_us, domain, q_score, confidence, \
             judge_version, task_id) VALUES (",
        );
        let values = [
            Bind::Text(row.truth.name().to_owned()),
            row.note.clone().map_or(Bind::NoText, Bind::Text),
            Bind::Int(row.client_uid.into()),
            Bind::Int(row.given_at_us),
            Bind::Text(judgment.domain.name().to_owned()),
            Bind::Real(judgment.q_score),
            Bind::Real(made_with.of(judgment.domain).uncalibrated(judgment.confidence)),
            Bind::Int(judgment.judge_version.into()),
        ];
        for value in values {
            sql.bind(value);
            sql.text.push_str(", ");
        }
        sql.bind_task(feedback.task);
        sql.text.push_str(
            ") ON CONFLICT (task_id) DO UPDATE SET truth = excluded.truth, note = excluded.note, \
             client_uid = excluded.client_uid, given_at_us = excluded.given_at_us",
        );
        self.store.execute(sql).await.map_err(failed)?;
        Ok(row)
    }

    /// Does what is asked about the calibration of a judge; what is put to use is in use when this returns.
    pub(super) async fn calibrate(
        &self,
        request: CalibrationRequest,
        judge_version: Option<u32>,
    ) -> Result<CalibrationReport, RecorderError> {
        let (in_store, before) = self.calibration_in_use().await?;
        let samples = self.samples(judge_version).await?;
        let wanted = match request {
            CalibrationRequest::Use(version) => Some(version),
            CalibrationRequest::Revert => Some(self.version_before(in_store).await?),
            _ => None,
        };
        if let Some(version) = wanted {
            let found = self.calibration_of(version).await?;
            let missing = || RecorderError::NotFound(format!("there is no calibration {version}"));
            let after = found.ok_or_else(missing)?;
            let fitted = calibration::weigh(&before, &after, &samples);
            return self.report(before, after, version != in_store, fitted.domains).await;
        }
        let fitted = match request {
            CalibrationRequest::Show => calibration::weigh(&before, &before, &samples),
            _ => calibration::fit(&before, &samples),
        };
        let mut after = Calibration { version: before.version, domains: fitted.thresholds };
        let changes = after != before;
        if changes {
            after.version = self.newest_version().await? + 1;
        }
        let applied = changes && request == CalibrationRequest::Fit;
        if applied {
            self.add_calibration(&after, samples.len()).await?;
        }
        self.report(before, after, applied, fitted.domains).await
    }

    /// Puts `after` to use where that is so, and tells of it.
    async fn report(
        &self,
        before: Calibration,
        after: Calibration,
        applied: bool,
        domains: Vec<DomainCalibration>,
    ) -> Result<CalibrationReport, RecorderError> {
        if applied {
            self.use_calibration(after.version).await?;
            self.publish_calibration(after.clone()).await;
        }
        let in_use = if applied { after.version } else { before.version };
        let versions = self.versions(in_use).await?;
        Ok(CalibrationReport { before, after, applied, domains, versions })
    }

    /// Looks which calibration is in use, also when another host has changed it.
    pub(super) async fn refresh_calibration(&self) -> Result<(), RecorderError> {
        let (_, in_use) = self.calibration_in_use().await?;
        if **self.calibration.borrow() != in_use {
            self.publish_calibration(in_use).await;
        }
        Ok(())
    }

    async fn publish_calibration(&self, calibration: Calibration) {
        tracing::info!(version = calibration.version, "calibration in use");
        if let Some(spool) = &self.spool
            && let Err(error) =
                spool.keep_calibration(calibration.version, &to_json(&calibration)).await
        {
            tracing::warn!(error = describe(&error), "could not keep the calibration locally");
        }
        self.calibration.send_replace(Arc::new(calibration));
    }

    /// The calibration that was in use when the database was last reached.
    pub(super) async fn recall_calibration(&self) {
        let Some(spool) = &self.spool else { return };
        match spool.calibration().await {
            Ok(Some((version, thresholds))) => {
                if let Some(calibration) = from_json(version, &thresholds) {
                    self.calibration.send_replace(Arc::new(calibration));
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(error = describe(&error), "could not read the local calibration");
            }
        }
    }

    /// The version that the store says is in use, and the calibration that is: one that cannot be read leaves in use what
    /// was, so that another can be put in its place.
    async fn calibration_in_use(&self) -> Result<(u32, Calibration), RecorderError> {
        let failed = failed("look up the calibration in use");
        let sql = self.sql("SELECT version FROM calibration_uses ORDER BY seq DESC LIMIT 1");
        let version = self.store.integer(sql).await.map_err(failed)?.unwrap_or(0) as u32;
        match self.calibration_of(version).await {
            Ok(found) => Ok((version, found.unwrap_or_default())),
            Err(RecorderError::Refused(error)) => {
                let kept = Calibration::clone(&self.calibration.borrow());
                tracing::warn!(error, in_use = kept.version, "the calibration was not changed");
                Ok((version, kept))
            }
            Err(error) => Err(error),
        }
    }

    async fn calibration_of(&self, version: u32) -> Result<Option<Calibration>, RecorderError> {
        if version == 0 {
            return Ok(Some(Calibration::default()));
        }
        let mut sql = self.sql("SELECT thresholds FROM calibrations WHERE version = ");
        sql.bind(Bind::Int(version.into()));
        let found = rows!(self, sql, |row| Row::try_get::<String, _>(row, 0));
        let Some(json) = found.map_err(failed("read the calibration"))?.pop() else {
            return Ok(None);
        };
        let unreadable = || {
            RecorderError::Refused(format!(
                "the stored calibration {version} cannot be read: use another with \
                 `cynicctl calibrate --revert VERSION`, 0 for the model's own"
            ))
        };
        from_json(version, &json).map(Some).ok_or_else(unreadable)
    }

    /// What was in use before a version first was.
    async fn version_before(&self, version: u32) -> Result<u32, RecorderError> {
        if version == 0 {
            let nothing = "the model's own thresholds are in use: there is nothing to revert to; name a version";
            return Err(RecorderError::Refused(nothing.to_owned()));
        }
        let mut sql = self.sql(
            "SELECT version FROM calibration_uses WHERE seq < \
             (SELECT min(seq) FROM calibration_uses WHERE version = ",
        );
        sql.bind(Bind::Int(version.into()));
        sql.text.push_str(") ORDER BY seq DESC LIMIT 1");
        let before = self.store.integer(sql).await;
        Ok(before.map_err(failed("look up the calibration before"))?.unwrap_or(0) as u32)
    }

    /// What was said of judgments of this judge, newest first; where none has come up yet, of the one that judged last.
    async fn samples(&self, judge_version: Option<u32>) -> Result<Vec<Sample>, RecorderError> {
        let mut sql = self
            .sql("SELECT domain, q_score, confidence, truth FROM feedback WHERE judge_version = ");
        match judge_version {
            Some(version) => sql.bind(Bind::Int(version.into())),
            None => {
                sql.text
                    .push_str("(SELECT judge_version FROM judgments ORDER BY seq DESC LIMIT 1)");
            }
        }
        let _ = write!(sql.text, " ORDER BY given_at_us DESC LIMIT {FEEDBACKS_MAX}");
        let samples = rows!(self, sql, |row| {
            let truth: String = Row::try_get(row, 3)?;
            Ok(Sample {
                domain: read::domain(&Row::try_get::<String, _>(row, 0)?)?,
                q_score: Row::try_get(row, 1)?,
                confidence: Row::try_get(row, 2)?,
                truth: read::truth(&truth).ok_or_else(|| read::wrong("truth"))?,
            })
        });
        samples.map_err(failed("read the feedback"))
    }

    async fn newest_version(&self) -> Result<u32, RecorderError> {
        let sql = self.sql("SELECT coalesce(max(version), 0) FROM calibrations");
        let newest = self.store.integer(sql).await.map_err(failed("look up the calibrations"))?;
        Ok(newest.unwrap_or(0) as u32)
    }

    async fn add_calibration(
        &self,
        calibration: &Calibration,
        feedbacks: usize,
    ) -> Result<(), RecorderError> {
        let mut sql = self.sql(
            "INSERT INTO calibrations (version, created_at_us, feedbacks, thresholds) VALUES (",
        );
        for value in
            [i64::from(calibration.version), super::unix_us(), feedbacks as i64].map(Bind::Int)
        {
            sql.bind(value);
            sql.text.push_str(", ");
        }
        sql.bind(Bind::Text(to_json(calibration)));
        sql.text.push(')');
        self.store.execute(sql).await.map_err(failed("store the calibration")).map(drop)
    }

    async fn use_calibration(&self, version: u32) -> Result<(), RecorderError> {
        let mut sql = self.sql("INSERT INTO calibration_uses (version, used_at_us) VALUES (");
        sql.bind(Bind::Int(version.into()));
        sql.text.push_str(", ");
        sql.bind(Bind::Int(super::unix_us()));
        sql.text.push(')');
        self.store.execute(sql).await.map_err(failed("put the calibration to use")).map(drop)
    }

    async fn versions(&self, in_use: u32) -> Result<Vec<CalibrationVersion>, RecorderError> {
        let sql = self.sql(&format!(
            "SELECT version, created_at_us, feedbacks FROM calibrations \
             ORDER BY version DESC LIMIT {VERSIONS_SHOWN_MAX}"
        ));
        let versions = rows!(self, sql, |row| {
            let version = Row::try_get::<i64, _>(row, 0)? as u32;
            Ok(CalibrationVersion {
                version,
                created_at_us: Row::try_get(row, 1)?,
                feedbacks: Row::try_get::<i64, _>(row, 2)? as u32,
                in_use: version == in_use,
            })
        });
        let mut versions = versions.map_err(failed("list the calibrations"))?;
        versions.push(CalibrationVersion {
            version: 0,
            created_at_us: 0,
            feedbacks: 0,
            in_use: in_use == 0,
        });
        Ok(versions)
    }
}

fn to_json(calibration: &Calibration) -> String {
    let domains: BTreeMap<&str, &Thresholds> =
        Domain::ALL.iter().map(|domain| (domain.name(), calibration.of(*domain))).collect();
    serde_json::to_string(&domains).expect("names and finite numbers are JSON")
}

/// A domain that is not in it, being younger, has the model's own thresholds.
fn from_json(version: u32, json: &str) -> Option<Calibration> {
    let domains: BTreeMap<String, Thresholds> = serde_json::from_str(json).ok()?;
    let mut calibration = Calibration { version, ..Calibration::default() };
    for domain in Domain::ALL {
        if let Some(thresholds) = domains.get(domain.name()) {
            calibration.domains[domain as usize] = *thresholds;
        }
    }
    calibration.domains.iter().all(Thresholds::is_valid).then_some(calibration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calibration_is_read_as_it_was_written_and_an_impossible_one_is_not() {
        let mut wanted = Calibration { version: 7, ..Calibration::default() };
        wanted.domains[2].wag = 51.3;
        assert_eq!(from_json(7, &to_json(&wanted)), Some(wanted.clone()));
        assert_eq!(from_json(0, "{}"), Some(Calibration::default()));
        wanted.domains[2].wag = 90.0;
        assert_eq!(from_json(7, &to_json(&wanted)), None);
        assert_eq!(from_json(7, "nonsense"), None);
    }
}
