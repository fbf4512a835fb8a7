//! Offering a task again that the daemon cannot take now: after its hint, for a bounded time, under the same task id,
//! so that it is judged once whatever happens.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use super::{Client, ClientError, Outcome};
use crate::error::{ErrorKind, TaskError};
use crate::ids::TaskId;
use crate::message::Judge;

/// First pause where the daemon gives no hint; doubled with each attempt.
const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// Longest pause, hinted or not: a daemon that is back should not be left alone for long.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long after a task's deadline its answer is awaited: a daemon that lives has said by then that the time ran out.
pub const ANSWER_GRACE: Duration = Duration::from_secs(5);

impl Client {
    /// Asks for a judgment until there is an answer other than "not now" (busy, unavailable, ending) or patience is at
    /// its end; then the last answer is the outcome. A request with a deadline is waited for until [`ANSWER_GRACE`]
    /// after it: then the task is taken for not judged ([`ErrorKind::Unavailable`]), as a daemon that hangs never says
    /// so.
    ///
    /// # Errors
    /// As [`Client::judge`].
    pub async fn judge_within(
        &self,
        mut request: Judge,
        item: Bytes,
        patience: Duration,
    ) -> Result<Outcome, ClientError> {
        let began = Instant::now();
        let mut attempt = 0;
        loop {
            let asked = self.judge(request.clone(), item.clone());
            let outcome = match request.deadline_ms.map(|ms| Duration::from_millis(ms.into())) {
                Some(deadline) => match timeout(deadline + ANSWER_GRACE, asked).await {
                    Ok(answered) => answered?,
                    Err(_) => return Ok(unanswered(request.task, deadline)),
                },
                None => asked.await?,
            };
            let Outcome::Failed { task, error } = &outcome else { return Ok(outcome) };
            match pause(*task, error, attempt, began.elapsed(), patience) {
                Some(pause) => sleep(pause).await,
                None => return Ok(outcome),
            }
            request.retry = true;
            attempt = attempt.saturating_add(1);
        }
    }
}

/// What is known of a task whose daemon is silent.
fn unanswered(task: TaskId, deadline: Duration) -> Outcome {
    let message = format!(
        "the daemon did not answer within the deadline ({deadline:?}) nor {ANSWER_GRACE:?} after it: it hangs, or its \
         store does (`cynicctl ping` tells); it may judge the item all the same"
    );
    let kind = ErrorKind::Unavailable;
    let error = TaskError { kind, message, deaths: Vec::new(), retry_after_ms: None };
    Outcome::Failed { task, error: Box::new(error) }
}

/// How long to wait before the next attempt; `None` gives up.
fn pause(
    task: TaskId,
    error: &TaskError,
    attempt: u32,
    waited: Duration,
    patience: Duration,
) -> Option<Duration> {
    if !refused_for_now(error.kind) {
        return None;
    }
    let hint = error.retry_after_ms.map(|ms| Duration::from_millis(u64::from(ms)));
    let pause = hint.unwrap_or_else(|| PAUSE_FIRST * 2u32.saturating_pow(attempt.min(8)));
    // Spread by the task's random bits, so that a window of tasks does not come back all at once.
    let spread = 0.75 + f64::from((task.0 & 0xff) as u8) / 512.0;
    let pause = pause.clamp(Duration::from_millis(1), PAUSE_MAX).mul_f64(spread);
    (waited + pause <= patience).then_some(pause)
}

/// The task was not accepted, or will be again: nothing is known about the item.
const fn refused_for_now(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Busy | ErrorKind::Unavailable | ErrorKind::ShuttingDown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind, retry_after_ms: Option<u32>) -> TaskError {
        TaskError { kind, message: String::new(), deaths: Vec::new(), retry_after_ms }
    }

    #[test]
    fn the_hint_is_followed_and_spread() {
        let patience = Duration::from_secs(30);
        let busy = error(ErrorKind::Busy, Some(100));
        let pause = |task| pause(TaskId(task), &busy, 0, Duration::ZERO, patience);
        assert_eq!(pause(0), Some(Duration::from_millis(75)));
        assert!(pause(0xff) > pause(0));
    }

    #[test]
    fn pauses_grow_without_a_hint_and_end_with_patience() {
        let patience = Duration::from_secs(30);
        let error = error(ErrorKind::Unavailable, None);
        let pause = |attempt, waited| pause(TaskId(0), &error, attempt, waited, patience);
        assert!(pause(3, Duration::ZERO) > pause(0, Duration::ZERO));
        assert!(pause(1000, Duration::ZERO) <= Some(PAUSE_MAX.mul_f64(1.25)));
        assert_eq!(pause(0, patience), None);
    }

    #[test]
    fn what_is_final_is_not_tried_again() {
        for kind in [ErrorKind::Quarantined, ErrorKind::DeadlineExceeded, ErrorKind::Internal] {
            let error = error(kind, Some(1));
            assert_eq!(pause(TaskId(0), &error, 0, Duration::ZERO, Duration::MAX / 2), None);
        }
    }
}
