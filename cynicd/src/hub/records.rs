//! Questions about the store, and whose records the answers may be about.

use std::path::PathBuf;

use cynic_proto::calibration::CalibrationRequest;
use cynic_proto::dead_letters::DeadLettersRequest;
use cynic_proto::history::{Feedback, HistoryQuery, ShowRow, Truth};
use cynic_proto::ids::TaskId;
use cynic_proto::message::{RefusalKind, Reply};

use super::Hub;
use super::clients::refused;
use crate::causes::chain;
use crate::pool::ClientId;
use crate::recorder::RecorderError;

/// Whose records a client may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Records {
    /// Everybody's.
    All,
    /// Those of this user's own tasks.
    Of(u32),
}

impl Records {
    fn include(self, uid: u32) -> bool {
        self == Records::All || self == Records::Of(uid)
    }

    /// Whether there is something of a task, and it may be seen.
    fn show(self, row: &ShowRow) -> bool {
        let judged = row.judgment.iter().map(|judgment| judgment.client_uid);
        let mut owners =
            judged.chain(row.failures.iter().map(|failure| failure.client_uid)).peekable();
        owners.peek().is_some() && owners.all(|uid| self.include(uid))
    }
}

impl Hub {
    pub(super) fn history(
        &mut self,
        client: ClientId,
        seq: u64,
        mut query: HistoryQuery,
        records: Records,
    ) {
        if let Records::Of(uid) = records {
            query.client_uid = Some(uid);
        }
        self.ask_store(client, seq, async move |recorder| {
            let page = recorder.history(query).await;
            page.map_or_else(|e| unanswered(&e), |page| Reply::History(Box::new(page)))
        });
    }

    pub(super) fn show(&mut self, client: ClientId, seq: u64, task: TaskId, records: Records) {
        self.ask_store(client, seq, async move |recorder| match recorder.show(task).await {
            Ok(row) if records.show(&row) => Reply::Show(Box::new(row)),
            Ok(_) => not_found(task, records),
            Err(error) => unanswered(&error),
        });
    }
}

/// What a client says of a judgment.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) task: TaskId,
    pub(super) truth: Truth,
    pub(super) note: Option<String>,
}

impl Hub {
    pub(super) fn feedback(&mut self, client: ClientId, seq: u64, said: Said, records: Records) {
        let Some(client_uid) = self.clients.get(&client).map(|client| client.peer.uid) else {
            return;
        };
        let Said { task, truth, note } = said;
        self.ask_store(client, seq, async move |recorder| {
            if records != Records::All {
                match recorder.show(task).await {
                    Ok(row) if records.show(&row) => {}
                    Ok(_) => return not_found(task, records),
                    Err(error) => return unanswered(&error),
                }
            }
            let feedback = Feedback { task, truth, note, client_uid };
            let given = recorder.feedback(feedback).await;
            given.map_or_else(|e| unanswered(&e), |row| Reply::Feedback(Box::new(row)))
        });
    }

    pub(super) fn calibrate(&mut self, client: ClientId, seq: u64, request: CalibrationRequest) {
        let judge_version = self.judge_version;
        self.ask_store(client, seq, async move |recorder| {
            let report = recorder.calibrate(request, judge_version).await;
            report.map_or_else(|e| unanswered(&e), |report| Reply::Calibration(Box::new(report)))
        });
    }

    pub(super) fn dead_letters(&mut self, client: ClientId, seq: u64, request: DeadLettersRequest) {
        self.ask_store(client, seq, async move |recorder| {
            let reply = recorder.dead_letters(request).await;
            reply.map_or_else(|e| unanswered(&e), |reply| Reply::DeadLetters(Box::new(reply)))
        });
    }

    pub(super) fn backup(&mut self, client: ClientId, seq: u64, path: String) {
        self.ask_store(client, seq, async move |recorder| {
            let report = recorder.backup(PathBuf::from(path)).await;
            report.map_or_else(|e| unanswered(&e), |report| Reply::Backup(Box::new(report)))
        });
    }
}

/// The same whether there is no such task or it is another user's: who may not see it learns nothing.
pub(super) fn not_found(task: TaskId, records: Records) -> Reply {
    let message = match records {
        Records::All => format!("nothing is stored of {task}; `cynicctl history` lists what is"),
        Records::Of(uid) => format!(
            "nothing is stored of {task} that user {uid} asked for; others' records take role `read`"
        ),
    };
    refused(RefusalKind::NotFound, &message)
}

/// The store could not answer.
pub(super) fn unanswered(error: &RecorderError) -> Reply {
    let kind = match error {
        RecorderError::NotFound(_) => RefusalKind::NotFound,
        // The path of a backup is the only one that a client names.
        RecorderError::Refused(_) | RecorderError::DataDir { .. } => RefusalKind::Malformed,
        _ => RefusalKind::Unavailable,
    };
    Reply::Refused { kind, message: chain(error) }
}
