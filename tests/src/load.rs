//! Work for a daemon, as much as is wanted: clients that keep tasks in flight, or send at a rate whatever is
//! answered.
//!
//! Owns the check that each task is answered exactly once. Judges nothing by time.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cynic_proto::error::{ErrorKind, TaskError};
use cynic_proto::ids::TaskId;
use cynic_proto::message::{Ack, Lane, Reply, Request};

use crate::daemon::PATIENCE;
use crate::raw::{self, RawClient};

/// How long a client at a rate waits for replies before it looks whether it has to send: a small part of a
/// queue's time, and no spinning.
const PACE: Duration = Duration::from_millis(1);

/// Most tasks that a client at a rate sends before it looks for replies again.
const SENT_BETWEEN_REPLIES: u64 = 64;

/// What one client sends.
#[derive(Debug, Clone)]
pub struct Plan {
    /// In which lane.
    pub lane: Lane,
    /// When it wants its answers.
    pub ack: Ack,
    /// Tasks that it has in flight at most.
    pub in_flight: usize,
    /// Tasks that it sends in a second at most; as many as are answered where unset.
    pub rate: Option<f64>,
    /// One in so many items is poison, each another one.
    pub poison_one_in: Option<u64>,
    /// The faults of the poison.
    pub faults: &'static [&'static str],
    /// Tasks that it may still send, together with the clients that have a copy of this plan.
    pub left: Arc<AtomicU64>,
    /// When it ends.
    pub until: Instant,
}

impl Plan {
    /// Ordinary work, so many in flight for so long.
    pub fn ordinary(lane: Lane, in_flight: usize, time: Duration) -> Plan {
        Plan {
            lane,
            ack: Ack::Judged,
            in_flight,
            rate: None,
            poison_one_in: None,
            faults: &["segfault"],
            left: Arc::new(AtomicU64::new(u64::MAX)),
            until: Instant::now() + time,
        }
    }

    /// The same, for so many tasks at most, of all clients that get a copy of it.
    #[must_use]
    pub fn at_most(self, tasks: u64) -> Plan {
        Plan { left: Arc::new(AtomicU64::new(tasks)), ..self }
    }

    fn is_over(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0 || Instant::now() >= self.until
    }

    /// Whether one more task may be sent; it must be then.
    fn take_one(&self) -> bool {
        let less = |left: u64| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// What came of a client's tasks.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many were sent.
    pub sent: u64,
    /// How many were judged.
    pub judged: u64,
    /// How many of them before the plan's end, while others still sent too.
    pub judged_in_time: u64,
    /// How many were not, by kind.
    pub failed: BTreeMap<&'static str, u64>,
    /// Answers of `Busy` without a hint when to try again.
    pub without_hint: u64,
    /// From the sending of each judged task to its answer.
    pub latencies: Vec<Duration>,
    /// When each of them was answered, in the same order.
    pub answered: Vec<Instant>,
    /// From the first task to the last answer.
    pub took: Duration,
}

impl Tally {
    /// Adds another client's.
    pub fn add(&mut self, other: Tally) {
        self.sent += other.sent;
        self.judged += other.judged;
        self.judged_in_time += other.judged_in_time;
        for (kind, count) in other.failed {
            *self.failed.entry(kind).or_default() += count;
        }
        self.without_hint += other.without_hint;
        self.latencies.extend(other.latencies);
        self.answered.extend(other.answered);
        self.took = self.took.max(other.took);
    }

    /// Judged tasks in a second between two moments.
    pub fn rate_between(&self, from: Instant, to: Instant) -> f64 {
        let within = self.answered.iter().filter(|at| (from..to).contains(*at)).count();
        within as f64 / to.duration_since(from).as_secs_f64().max(1e-9)
    }

    /// Judged tasks in a second.
    pub fn rate(&self) -> f64 {
        self.judged as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// How many failed in that way.
    pub fn failed(&self, kind: ErrorKind) -> u64 {
        self.failed.get(kind.name()).copied().unwrap_or_default()
    }

    fn fail(&mut self, error: &TaskError) {
        *self.failed.entry(error.kind.name()).or_default() += 1;
        let hint = error.retry_after_ms.is_some_and(|ms| ms > 0);
        self.without_hint += u64::from(error.kind == ErrorKind::Busy && !hint);
    }
}

/// An ordinary item, a different one for each number.
pub fn ordinary(n: u64) -> Vec<u8> {
    let content = format!("Meeting {n} moved to {} o'clock; the agenda is unchanged.", n % 24);
    format!(r#"{{"type":"text","content":"{content}"}}"#).into_bytes()
}

/// Carries a plan out. `first` numbers its items, so that no two clients send the same.
///
/// # Panics
/// If a task is not answered, answered twice, or answered with something else.
pub async fn send(socket: &Path, plan: Plan, first: u64) -> Tally {
    let mut client = RawClient::connect(socket).await.expect("a connection");
    let mut waiting: HashMap<u64, (TaskId, Instant)> = HashMap::new();
    let (mut tally, began) = (Tally::default(), Instant::now());
    loop {
        let sending = !plan.is_over();
        if !sending && waiting.is_empty() {
            break;
        }
        let due = plan.rate.map_or(u64::MAX, |rate| (began.elapsed().as_secs_f64() * rate) as u64);
        let turn = tally.sent.saturating_add(SENT_BETWEEN_REPLIES);
        let most = due.min(turn);
        while sending && waiting.len() < plan.in_flight && tally.sent < most && plan.take_one() {
            let n = first + tally.sent;
            let task = submit(&mut client, &plan, n).await;
            waiting.insert(n, (task, Instant::now()));
            tally.sent += 1;
        }
        let behind = sending && tally.sent < due && waiting.len() < plan.in_flight;
        let mut patience = match plan.rate {
            Some(_) if behind => Duration::ZERO,
            Some(_) if sending => PACE,
            _ => PATIENCE,
        };
        // At a rate, all replies that are there: a client that only sends is expelled for not reading.
        loop {
            let Ok(reply) = tokio::time::timeout(patience, client.reply()).await else {
                assert!(patience < PATIENCE, "{} tasks are not answered", waiting.len());
                break;
            };
            let (seq, reply) = reply.expect("the connection holds");
            let (task, sent) = waiting.remove(&seq).unwrap_or_else(|| panic!("twice: {reply:?}"));
            count(&mut tally, task, sent, &reply);
            let in_time = matches!(reply, Reply::Judged(_)) && Instant::now() < plan.until;
            tally.judged_in_time += u64::from(in_time);
            if plan.rate.is_none() || waiting.is_empty() {
                break;
            }
            patience = Duration::ZERO;
        }
    }
    tally.took = began.elapsed();
    tally
}

async fn submit(client: &mut RawClient, plan: &Plan, n: u64) -> TaskId {
    let task = TaskId::new();
    let mut request = raw::judge(task, plan.lane, plan.ack);
    let item = match plan.poison_one_in {
        Some(one_in) if n % one_in == one_in - 1 => {
            // Another name makes it another item: the quarantine does not know it yet.
            request.hint.name = Some(n.to_string());
            let fault = (n / one_in) as usize % plan.faults.len();
            crate::faults::item(plan.faults[fault])
        }
        _ => ordinary(n),
    };
    let sent = client.send_and_listen(n, Request::Judge(request), &item).await;
    sent.expect("the connection holds");
    task
}

fn count(tally: &mut Tally, task: TaskId, sent: Instant, reply: &Reply) {
    match reply {
        Reply::Judged(judged) => {
            assert_eq!(judged.task, task);
            tally.judged += 1;
            let now = Instant::now();
            tally.latencies.push(now.duration_since(sent));
            tally.answered.push(now);
        }
        Reply::Failed { task: failed, error } => {
            assert_eq!(*failed, task);
            tally.fail(error);
        }
        other => panic!("{other:?}"),
    }
}

/// The value below which that share of the samples is; zero if there are none.
pub fn quantile(samples: &mut [Duration], share: f64) -> Duration {
    samples.sort_unstable();
    let at = (samples.len().saturating_sub(1) as f64 * share) as usize;
    samples.get(at).copied().unwrap_or_default()
}
