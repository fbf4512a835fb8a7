//! The figures for Prometheus: their text, and the small server that hands it out.
//!
//! Off unless configured. Listens at a Unix socket or a loopback port only: the figures tell much about what a
//! host does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cynic_proto::stats::{LatencyStats, Stats};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use crate::hub::Input;

/// How long a collector may take over one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// A request of a collector is a few hundred bytes.
const REQUEST_BYTES_MAX: usize = 8 * 1024;

/// Collectors at once; one or two are usual, and others that only pretend must not keep them out.
const COLLECTORS_MAX: usize = 64;

/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The members of group may read the figures, as they may ask for them with `cynicctl stats`.
const SOCKET_MODE: u32 = 0o660;

/// Upper bounds of the buckets of judging times, in microseconds: from a small item's time to the longest that
/// a task may take by default.
pub const BUCKETS_US: [u64; 14] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 60_000_000,
];

/// What the labels of counters by kind may be.
const KNOWN_LABELS: [(&str, &[&str]); 4] = [
    (
        "cynic_tasks_refused_total",
        &["client_share", "queue_full", "shutting_down", "store_full", "unavailable", "user_share"],
    ),
    (
        "cynic_tasks_failed_total",
        &[
            "deadline_exceeded",
            "internal",
            "invalid_item",
            "quarantined",
            "queue_timeout",
            "unavailable",
        ],
    ),
    (
        "cynic_worker_deaths_total",
        &[
            "cpu_limit",
            "deadline",
            "exit_code",
            "killed_by_operator",
            "memory_limit",
            "missed_heartbeat",
            "protocol_violation",
            "sandbox_violation",
            "signal",
            "spawn_failed",
            "start_timeout",
        ],
    ),
    ("cynic_clients_turned_away_total", &["admins_max", "clients_max", "no_role", "user_share"]),
];

/// Where metrics are handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// A loopback address and port.
    Loopback(SocketAddr),
}

impl Address {
    /// Reads `unix:/run/cynic/metrics.sock`, `127.0.0.1:9618` or `[::1]:9618`.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn parse(text: &str) -> Result<Address, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            let absolute = path.is_absolute().then_some(Address::Unix(path));
            return absolute.ok_or_else(|| format!("`{text}` names no absolute path"));
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Address::Loopback(address)),
            Ok(_) => {
                Err(format!("`{text}` is no loopback address: metrics are not for the network"))
            }
            Err(_) => Err(format!(
                "`{text}` is neither \"unix:/run/cynic/metrics.sock\" nor \"127.0.0.1:9618\""
            )),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Loopback(address) => address.fmt(f),
        }
    }
}

/// A file that is removed when this is dropped.
#[derive(Debug)]
pub struct Unlinked(PathBuf);

impl Drop for Unlinked {
    fn drop(&mut self) {
        // The next daemon replaces what is left.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A socket for collectors.
#[derive(Debug)]
pub enum Listener {
    /// A Unix socket, whose file goes with it.
    Unix(UnixListener, Unlinked),
    /// A loopback port.
    Loopback(TcpListener),
}

/// Opens the socket. A stale file of ours is replaced.
///
/// # Errors
/// The address is in use or may not be used.
pub async fn listen(address: &Address) -> io::Result<Listener> {
    match address {
        Address::Loopback(address) => TcpListener::bind(address).await.map(Listener::Loopback),
        Address::Unix(path) => {
            crate::gateway::remove_stale(path).map_err(io::Error::other)?;
            let listener = UnixListener::bind(path)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
            Ok(Listener::Unix(listener, Unlinked(path.clone())))
        }
    }
}

/// Hands the figures out until dropped.
pub async fn serve(listener: Listener, hub: mpsc::Sender<Input>) {
    let seats = Arc::new(Semaphore::new(COLLECTORS_MAX));
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        let accepted = match &listener {
            Listener::Unix(unix, _) => unix.accept().await.map(|(s, _)| collect(s, &hub, seat)),
            Listener::Loopback(tcp) => tcp.accept().await.map(|(s, _)| collect(s, &hub, seat)),
        };
        if let Err(error) = accepted {
            tracing::warn!(%error, "could not accept a collector of metrics");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

/// Answers one collector on a task of its own.
fn collect(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    hub: &mpsc::Sender<Input>,
    seat: OwnedSemaphorePermit,
) {
    let hub = hub.clone();
    tokio::task::spawn_local(async move {
        // A collector that is slow or gone has lost one reading.
        drop(timeout(REQUEST_TIMEOUT, answer(stream, &hub)).await);
        drop(seat);
    });
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    hub: &mpsc::Sender<Input>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") && head.len() < REQUEST_BYTES_MAX {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    let (status, body) = if is_request(&head) {
        let (figures, answered) = oneshot::channel();
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        hub.send(Input::Metrics(figures)).await.map_err(|_| gone())?;
        ("200 OK", answered.await.map_err(|_| gone())?)
    } else {
        ("404 Not Found", "ask for GET /metrics\n".to_owned())
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

fn is_request(head: &[u8]) -> bool {
    let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    words.next() == Some(b"GET") && words.next() == Some(b"/metrics")
}

/// A distribution for [`render`]: how many took at most each of [`BUCKETS_US`], and all of them.
#[derive(Debug, Clone, Default)]
pub struct Buckets {
    /// Cumulative counts.
    pub at_most: Vec<u64>,
    /// All of them.
    pub count: u64,
    /// The sum of their times in microseconds.
    pub sum_us: f64,
}

/// The figures in the text format of Prometheus. Each name is described in docs/operations.md.
pub fn render(stats: &Stats, judging: &Buckets) -> String {
    let mut page = Page::default();
    let (pool, recorder, clients) = (&stats.pool, &stats.recorder, &stats.clients);
    page.family("cynic_build_info", "gauge", "The build, as a label.");
    page.labelled("cynic_build_info", "build", &stats.build, 1.0);
    page.gauge("cynic_uptime_seconds", "Time since the daemon started.", stats.uptime_s as f64);
    page.gauge("cynic_ready", "1 when a task sent now would be judged.", f64::from(stats.ready));
    page.gauge("cynic_draining", "1 while no work is taken.", f64::from(stats.draining));
    let degraded = f64::from(!stats.degraded.is_empty());
    page.gauge("cynic_degraded", "1 when something is wrong though judging goes on.", degraded);

    page.counter("cynic_tasks_accepted_total", "Tasks accepted.", pool.tasks_queued);
    page.counter(
        "cynic_tasks_processed_total",
        "Tasks answered by a worker.",
        pool.tasks_processed,
    );
    page.by("cynic_tasks_refused_total", "Tasks refused at the door.", "reason", &pool.rejects);
    let help = "Accepted tasks that ended in an error.";
    page.by("cynic_tasks_failed_total", help, "kind", &pool.failures);
    let help = "Tasks tried again after a worker's death.";
    page.counter("cynic_task_retries_total", help, pool.retries);
    let help = "Tasks given up after repeated deaths.";
    page.counter("cynic_tasks_quarantined_total", help, pool.quarantined);
    page.by("cynic_judgments_total", "Judgments.", "verdict", &stats.verdicts);
    page.histogram("cynic_judging_seconds", "Time from acceptance to answer.", judging);

    page.gauge("cynic_queue_tasks", "Tasks waiting.", f64::from(pool.queue_length));
    page.gauge("cynic_queue_bytes", "Bytes of the tasks waiting.", pool.queue_bytes as f64);
    let oldest = pool.oldest_wait_ms as f64 / 1e3;
    page.gauge("cynic_queue_oldest_seconds", "How long the first in the queue has waited.", oldest);
    page.gauge("cynic_tasks_active", "Tasks in workers' hands.", f64::from(pool.active_tasks));

    page.gauge("cynic_pool_size", "Workers that there should be.", f64::from(pool.pool_size));
    page.family("cynic_workers", "gauge", "Workers by state.");
    for state in ["starting", "idle", "busy", "stopping", "down"] {
        let n = stats.workers.iter().filter(|worker| worker.state == state).count();
        page.labelled("cynic_workers", "state", state, n as f64);
    }
    page.family("cynic_worker_memory_bytes", "gauge", "Resident memory of each worker.");
    for worker in &stats.workers {
        let slot = worker.slot.to_string();
        page.labelled("cynic_worker_memory_bytes", "slot", &slot, worker.memory_bytes as f64);
    }
    page.by("cynic_worker_deaths_total", "Workers that died.", "cause", &pool.deaths);
    let help = "Workers replaced on schedule.";
    page.counter("cynic_workers_recycled_total", help, pool.recycled);
    let help = "1 while starting workers is suspended because none comes up.";
    page.gauge("cynic_breaker_open", help, f64::from(pool.breaker_open));

    page.stages(stats);

    page.gauge(
        "cynic_clients_connected",
        "Clients connected at the judge socket.",
        f64::from(clients.connected),
    );
    page.counter("cynic_clients_accepted_total", "Connections accepted.", clients.accepted);
    page.gauge("cynic_clients_max", "Clients that may be connected there.", f64::from(clients.max));
    let help = "Connections not let in.";
    let help_refused = "Requests refused because the client lacks the role.";
    page.counter("cynic_requests_refused_total", help_refused, clients.refused);
    page.by("cynic_clients_turned_away_total", help, "reason", &clients.turned_away);
    let help = "Connections closed for not greeting, breaking the protocol or not reading.";
    page.counter("cynic_clients_expelled_total", help, clients.expelled);

    page.gauge(
        "cynic_store_buffered",
        "Entries waiting for their batch.",
        recorder.buffered as f64,
    );
    page.counter("cynic_store_written_total", "Entries committed.", recorder.flushed);
    let help = "Transactions committed.";
    page.counter("cynic_store_transactions_total", help, recorder.transactions);
    page.counter("cynic_store_retries_total", "Batches tried again.", recorder.retries);
    let help = "Entries set aside because the database refuses them.";
    page.counter("cynic_store_dead_letters_total", help, recorder.dead_letters);
    page.gauge("cynic_store_spooled", "Entries in the local spool.", recorder.spilled as f64);
    let oldest = recorder.oldest_age_ms as f64 / 1e3;
    page.gauge("cynic_store_oldest_seconds", "Age of the oldest entry not yet committed.", oldest);
    page.family("cynic_store_flush_seconds", "summary", "Time to commit a batch.");
    page.summary("cynic_store_flush_seconds", "", &recorder.flush_latency);
    page.text
}

/// A page in the making.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "gauge", help);
        let _ = writeln!(self.text, "{name} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        let _ = writeln!(self.text, "{name} {value}");
    }

    fn by(&mut self, name: &str, help: &str, label: &str, counts: &BTreeMap<String, u64>) {
        self.family(name, "counter", help);
        // From the start, each at 0: a series that begins at 5 has not increased, by Prometheus' reckoning.
        let known =
            KNOWN_LABELS.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, all)| *all);
        for value in known.iter().filter(|value| !counts.contains_key(**value)) {
            self.labelled(name, label, value, 0.0);
        }
        for (value, n) in counts {
            self.labelled(name, label, value, *n as f64);
        }
    }

    fn labelled(&mut self, name: &str, label: &str, value: &str, n: f64) {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = writeln!(self.text, "{name}{{{label}=\"{value}\"}} {n}");
    }

    fn histogram(&mut self, name: &str, help: &str, times: &Buckets) {
        self.family(name, "histogram", help);
        for (bound, n) in BUCKETS_US.iter().zip(&times.at_most) {
            let bound = (*bound as f64 / 1e6).to_string();
            self.labelled(&format!("{name}_bucket"), "le", &bound, *n as f64);
        }
        self.labelled(&format!("{name}_bucket"), "le", "+Inf", times.count as f64);
        let sum = times.sum_us / 1e6;
        let _ = writeln!(self.text, "{name}_sum {sum}\n{name}_count {}", times.count);
    }

    fn summary(&mut self, name: &str, labels: &str, time: &LatencyStats) {
        let (comma, braced) =
            if labels.is_empty() { ("", String::new()) } else { (",", format!("{{{labels}}}")) };
        for (quantile, us) in [("0.5", time.p50_us), ("0.99", time.p99_us), ("1", time.max_us)] {
            let seconds = us as f64 / 1e6;
            let _ =
                writeln!(self.text, "{name}{{{labels}{comma}quantile=\"{quantile}\"}} {seconds}");
        }
        let sum = time.mean_us * time.count as f64 / 1e6;
        let _ =
            writeln!(self.text, "{name}_sum{braced} {sum}\n{name}_count{braced} {}", time.count);
    }

    fn stages(&mut self, stats: &Stats) {
        self.family("cynic_stage_seconds", "summary", "Time spent in each stage of the pipeline.");
        for stage in &stats.stages {
            let labels = format!("stage=\"{}\"", stage.name);
            self.summary("cynic_stage_seconds", &labels, &stage.time);
        }
        let failed: BTreeMap<String, u64> =
            stats.stages.iter().map(|stage| (stage.name.clone(), stage.failed)).collect();
        self.by("cynic_stage_failures_total", "Tasks that failed in a stage.", "stage", &failed);
        let over: BTreeMap<String, u64> =
            stats.stages.iter().map(|stage| (stage.name.clone(), stage.over_budget)).collect();
        let help = "Times a stage took longer than its budget.";
        self.by("cynic_stage_over_budget_total", help, "stage", &over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cynic_proto::stats::StageStats;

    #[test]
    fn addresses_are_local() {
        let unix = Address::parse("unix:/run/cynic/metrics.sock").expect("a path");
        assert_eq!(unix, Address::Unix("/run/cynic/metrics.sock".into()));
        assert!(matches!(Address::parse("[::1]:9618"), Ok(Address::Loopback(_))));
        for (text, why) in
            [("0.0.0.0:9618", "loopback"), ("unix:metrics", "absolute"), ("9618", "neither")]
        {
            assert!(Address::parse(text).expect_err(text).contains(why), "{text}");
        }
    }

    #[test]
    fn only_metrics_are_handed_out() {
        assert!(is_request(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
        for other in [&b"POST /metrics HTTP/1.1\r\n"[..], b"GET / HTTP/1.1\r\n", b"", b"\xff\r\n"] {
            assert!(!is_request(other));
        }
    }

    /// A page that Prometheus takes: each sample belongs to the family announced last, and has a number.
    #[test]
    fn the_page_is_well_formed() {
        let mut stats = Stats { build: "a\"b\\c\nd".to_owned(), ..Stats::default() };
        stats.pool.deaths.insert("signal".to_owned(), 3);
        stats.stages.push(StageStats { name: "parse".to_owned(), ..StageStats::default() });
        let buckets = Buckets { at_most: vec![1; BUCKETS_US.len()], count: 2, sum_us: 1500.0 };
        let text = render(&stats, &buckets);
        let mut family = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().expect("a name");
            } else if !line.starts_with('#') {
                assert!(line.starts_with(family) && line.starts_with("cynic_"), "{line}");
                let (_, number) = line.rsplit_once(' ').expect("a number");
                assert!(number.parse::<f64>().is_ok(), "{line}");
            }
        }
        assert!(text.contains("cynic_worker_deaths_total{cause=\"signal\"} 3\n"));
        assert!(text.contains("cynic_judging_seconds_bucket{le=\"+Inf\"} 2\n"));
        assert!(text.contains(r#"{build="a\"b\\c\nd"} 1"#), "{text}");
    }
}
