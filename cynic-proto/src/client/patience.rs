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

/// How much of the time is left for the last attempt, where the next pause would outlast it: what a daemon that works needs
/// for an item, many times over.
const LAST_ATTEMPT: Duration = Duration::from_millis(100);

impl Client {
    /// Asks for a judgment until there is an answer other than "not now" (busy, unavailable, ending) or patience is at
    /// its end; then the last answer is the outcome. Where the next pause would outlast it, one more attempt is made
    /// shortly before.
    ///
    /// A request's deadline counts from this call: it bounds patience, and each attempt has what is left of it. It is waited
    /// for until [`ANSWER_GRACE`] after it: then the task is taken for not judged ([`ErrorKind::Unavailable`]), as a
    /// daemon that hangs never says so.
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
        let deadline_ms = request.deadline_ms;
        let deadline = deadline_ms.map(|ms| Duration::from_millis(ms.into()));
        let patience = deadline.map_or(patience, |deadline| patience.min(deadline));
        let (mut attempt, mut last) = (0u32, false);
        loop {
            let asked = self.judge(request.clone(), item.clone());
            let outcome = match deadline {
                Some(deadline) => {
                    let left = deadline.saturating_sub(began.elapsed());
                    match timeout(left + ANSWER_GRACE, asked).await {
                        Ok(answered) => answered?,
                        Err(_) => return Ok(unanswered(request.task, deadline)),
                    }
                }
                None => asked.await?,
            };
            let Outcome::Failed { task, error } = &outcome else { return Ok(outcome) };
            let next = next(*task, error, attempt, began.elapsed(), patience);
            let Some(next) = next.filter(|_| !last) else { return Ok(outcome) };
            sleep(next.pause).await;
            request.retry = true;
            request.deadline_ms = left_of(deadline_ms, began.elapsed());
            (attempt, last) = (attempt.saturating_add(1), next.last);
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

/// What is left of a request's deadline after that time: 1 ms at least, so that the daemon is who says that it is over.
pub(super) fn left_of(deadline_ms: Option<u32>, passed: Duration) -> Option<u32> {
    let passed_ms = u32::try_from(passed.as_millis()).unwrap_or(u32::MAX);
    deadline_ms.map(|ms| ms.saturating_sub(passed_ms).max(1))
}

/// When the next attempt is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Next {
    pause: Duration,
    /// There is no time for another after it.
    last: bool,
}

/// When to try again; `None` gives up.
fn next(
    task: TaskId,
    error: &TaskError,
    attempt: u32,
    waited: Duration,
    patience: Duration,
) -> Option<Next> {
    let left = patience.saturating_sub(waited);
    if !refused_for_now(error.kind) || left.is_zero() {
        return None;
    }
    let hint = error.retry_after_ms.map(|ms| Duration::from_millis(u64::from(ms)));
    let pause = hint.unwrap_or_else(|| PAUSE_FIRST * 2u32.saturating_pow(attempt.min(8)));
    // Spread by the task's random bits, so that a window of tasks does not come back all at once.
    let spread = 0.75 + f64::from((task.0 & 0xff) as u8) / 512.0;
    let pause = pause.clamp(Duration::from_millis(1), PAUSE_MAX).mul_f64(spread);
    let pause_max = left.saturating_sub(LAST_ATTEMPT.min(left / 2));
    Some(Next { pause: pause.min(pause_max), last: pause > pause_max })
}

/// The task was not accepted, or will be again: nothing is known about the item.
const fn refused_for_now(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Busy | ErrorKind::Unavailable | ErrorKind::ShuttingDown)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::super::connection::Command;
    use super::*;
    use crate::item::Hint;
    use crate::message::{Ack, Lane, Reply, Request};

    fn error(kind: ErrorKind, retry_after_ms: Option<u32>) -> TaskError {
        TaskError { kind, message: String::new(), deaths: Vec::new(), retry_after_ms }
    }

    #[test]
    fn the_hint_is_followed_and_spread() {
        let patience = Duration::from_secs(30);
        let busy = error(ErrorKind::Busy, Some(100));
        let next = |task| next(TaskId(task), &busy, 0, Duration::ZERO, patience).expect("again");
        assert_eq!(next(0), Next { pause: Duration::from_millis(75), last: false });
        assert!(next(0xff).pause > next(0).pause);
    }

    #[test]
    fn pauses_grow_without_a_hint_and_end_with_patience() {
        let patience = Duration::from_secs(30);
        let error = error(ErrorKind::Unavailable, None);
        let next = |attempt, waited| next(TaskId(0), &error, attempt, waited, patience);
        let pause = |attempt| next(attempt, Duration::ZERO).expect("again").pause;
        assert!(pause(3) > pause(0));
        assert!(pause(1000) <= PAUSE_MAX.mul_f64(1.25));
        assert_eq!(next(0, patience), None);
    }

    #[test]
    fn a_pause_that_does_not_fit_leaves_time_for_one_more_attempt() {
        let busy = error(ErrorKind::Busy, Some(60_000));
        let next = |waited, patience| {
            let ms = Duration::from_millis;
            next(TaskId(0xff), &busy, 0, ms(waited), ms(patience))
        };
        let last = |ms| Some(Next { pause: Duration::from_millis(ms), last: true });
        assert_eq!(next(0, 2000), last(1900));
        assert_eq!(next(1850, 2000), last(75), "half of what is left where that is little");
        assert_eq!(next(0, 0), None, "nobody waits who has no patience");
        assert!(!next(0, 30_000).expect("again").last);
    }

    #[test]
    fn what_is_final_is_not_tried_again() {
        for kind in [ErrorKind::Quarantined, ErrorKind::DeadlineExceeded, ErrorKind::Internal] {
            let error = error(kind, Some(1));
            assert_eq!(next(TaskId(0), &error, 0, Duration::ZERO, Duration::MAX / 2), None);
        }
    }

    fn judge(deadline_ms: u32) -> Judge {
        Judge {
            task: TaskId(7),
            retry: false,
            lane: Lane::Interactive,
            ack: Ack::Judged,
            deadline_ms: Some(deadline_ms),
            hint: Hint::default(),
        }
    }

    /// A client without a connection: who holds the other end answers in the daemon's place.
    fn client() -> (Client, mpsc::Receiver<Command>) {
        let (commands, inbox) = mpsc::channel(1);
        (Client { commands }, inbox)
    }

    /// The next attempt, and where its answer goes.
    async fn attempt(inbox: &mut mpsc::Receiver<Command>) -> (Judge, impl FnOnce(Reply)) {
        let Command { request, reply, .. } = inbox.recv().await.expect("an attempt");
        let Request::Judge(judge) = request else { panic!("asked for {request:?}") };
        (judge, move |answer| drop(reply.send(Ok((answer, Bytes::new())))))
    }

    fn busy(retry_after_ms: u32) -> Reply {
        let error = Box::new(error(ErrorKind::Busy, Some(retry_after_ms)));
        Reply::Failed { task: TaskId(7), error }
    }

    #[tokio::test]
    async fn each_attempt_has_what_is_left_of_the_deadline() {
        let (client, mut inbox) = client();
        let asked = client.judge_within(judge(60_000), Bytes::new(), Duration::from_mins(1));
        let daemon = async {
            let (first, answer) = attempt(&mut inbox).await;
            assert_eq!((first.deadline_ms, first.retry), (Some(60_000), false));
            answer(busy(40));
            let (second, answer) = attempt(&mut inbox).await;
            // Three quarters of the hint have passed at least, whatever else the machine does.
            assert!(second.deadline_ms <= Some(59_970) && second.retry, "{second:?}");
            answer(busy(40));
            let (third, answer) = attempt(&mut inbox).await;
            assert!(third.deadline_ms <= Some(59_940), "{third:?}");
            answer(Reply::Echoed(third.task));
        };
        let (outcome, ()) = tokio::join!(asked, daemon);
        assert_eq!(outcome.expect("answered"), Outcome::Echoed(TaskId(7)));
    }

    #[tokio::test]
    async fn a_daemon_that_is_back_before_the_deadline_is_asked() {
        for back in [true, false] {
            let (client, mut inbox) = client();
            // The client goes with its patience: who waits for another attempt hears that there is none.
            let asked = async move {
                client.judge_within(judge(1000), Bytes::new(), Duration::from_secs(1)).await
            };
            let daemon = async {
                attempt(&mut inbox).await.1(busy(60_000));
                let (last, answer) = attempt(&mut inbox).await;
                assert!(last.deadline_ms <= Some(100), "{last:?}");
                answer(if back { Reply::Echoed(last.task) } else { busy(1) });
            };
            let (outcome, ()) = tokio::join!(asked, daemon);
            assert_eq!(matches!(outcome, Ok(Outcome::Echoed(_))), back, "{outcome:?}");
            assert!(inbox.try_recv().is_err(), "it was the last attempt");
        }
    }
}
