//! What the daemon finds when it looks itself over for `cynicctl doctor`: its configuration, workers, sandbox,
//! store, disk and limits, with what to do about each.

use std::path::Path;
use std::time::Duration;

use cynic_proto::finding::Finding;
use cynic_proto::handshake::BUILD;
use cynic_proto::history::HistoryQuery;
use cynic_proto::message::Reply;
use cynic_proto::sandbox::SandboxMode;

use super::operations::{Asker, waiting_for_restart};
use super::{Hub, Input};
use crate::causes::chain;
use crate::config::{Config, Source};

/// Free space below this fills up within a day of busy judging: a million judgments take about 4 GiB.
const DISK_BYTES_WARN: u64 = 4 << 30;

/// Free space below this is not enough for a checkpoint of the database.
const DISK_BYTES_BAD: u64 = 64 << 20;

/// How long the store may take to answer the question whether it is there.
const STORE_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection that found no room within this time is worth an operator's look.
const FULL_RECENTLY: Duration = Duration::from_mins(15);

/// Descriptors that a worker takes: its socket, page, process, figures and standard error.
const DESCRIPTORS_PER_WORKER: u64 = 5;

/// Descriptors for all else: the store, the log, the runtime, the sockets.
const DESCRIPTORS_OTHER: u64 = 64;

impl Hub {
    /// Looks at what the hub knows, then, on another thread, at the host.
    pub(super) fn doctor(&self, asker: Asker) {
        let mut findings = vec![
            self.version_finding(),
            self.workers_finding(),
            self.clients_finding(),
            self.sandbox_finding(),
            self.cgroup_finding(),
            self.log_finding(),
        ];
        let store = self.store_finding();
        let recorder = self.recording.recorder().clone();
        let operations = &self.options.operations;
        let (source, config) = (operations.source.clone(), operations.config.clone());
        let started = operations.started.clone();
        let size = self.pool.config().size.get();
        let hub = self.inputs.clone();
        tokio::task::spawn_local(async move {
            let query = HistoryQuery { limit: 1, ..HistoryQuery::default() };
            let answered = tokio::time::timeout(STORE_TIMEOUT, recorder.history(query)).await;
            findings.push(match answered {
                Ok(Ok(_)) => store,
                Ok(Err(error)) => no_store(&chain(&error)),
                Err(_) => no_store("it does not answer"),
            });
            let looked = tokio::task::spawn_blocking(move || {
                host_findings(&source, &config, &started, size)
            });
            findings.extend(looked.await.unwrap_or_default());
            // The hub is gone only when the daemon ends.
            drop(hub.send(Input::Answer(asker, Reply::Findings(findings))).await);
        });
    }

    fn version_finding(&self) -> Finding {
        let judge = self.judge_version.map_or_else(
            || "no worker has said by which rules it judges".to_owned(),
            |version| format!("workers judge by version {version}"),
        );
        Finding::good("version", format!("{BUILD}, pid {}; {judge}", std::process::id()))
    }

    fn log_finding(&self) -> Finding {
        match self.options.operations.log.lines_left_out() {
            0 => Finding::good("log", "every line was written"),
            lines => Finding::warn(
                "log",
                format!("{lines} lines were left out, as nobody took them in time"),
                "is what reads standard error alive? log less (`cynicctl log-level warn`)",
            ),
        }
    }

    /// An addition to the workers' own limits, so that doing without is no fault.
    fn cgroup_finding(&self) -> Finding {
        Finding::good("control groups", self.options.launch.isolation().cgroup)
    }

    fn workers_finding(&self) -> Finding {
        let (live, size) = (self.pool.workers_live(), self.pool.config().size);
        let what = format!("{live} of {size} live");
        let advice = "look for `a worker died` in the daemon's log (`journalctl -u cynicd`)";
        if self.pool.is_draining() {
            let what = format!("draining, so that nothing is taken; {what}");
            Finding::warn("workers", what, "`cynicctl resume` takes work again")
        } else if !self.pool.is_ready() && !self.pool.is_refusing_for_the_store() {
            // Where the store is to blame its own finding says so.
            Finding::bad("workers", what, advice)
        } else if live < usize::from(size.get()) {
            Finding::warn("workers", what, advice)
        } else {
            Finding::good("workers", what)
        }
    }

    fn clients_finding(&self) -> Finding {
        let clients = self.seats.stats();
        let mut what = format!(
            "{} of {} connected, {} at most so far",
            clients.connected, clients.max, clients.connected_max
        );
        let turned_away = clients.turned_away.iter().filter(|(_, n)| **n > 0);
        let turned_away = turned_away.map(|(why, n)| format!("{why} {n}"));
        let expelled = (clients.expelled > 0).then(|| format!("expelled {}", clients.expelled));
        let refused: Vec<String> = turned_away.chain(expelled).collect();
        if !refused.is_empty() {
            what = format!("{what}; sent away: {}", refused.join(", "));
        }
        match self.seats.full_since().filter(|ago| *ago < FULL_RECENTLY) {
            Some(ago) => Finding::warn(
                "clients",
                format!("{what}, the last for want of room {} s ago", ago.as_secs()),
                "`ss -xp` shows who holds the connections; else raise clients.max or access.share_per_user (admins_max is fixed)",
            ),
            None => Finding::good("clients", what),
        }
    }

    fn sandbox_finding(&self) -> Finding {
        let mode = self.options.launch.plan.mode;
        let workers = self.worker_stats();
        let lacking: Vec<&str> = workers
            .iter()
            .map(|worker| worker.sandbox.as_str())
            .filter(|sandbox| !sandbox.is_empty() && *sandbox != "enforced")
            .collect();
        match (mode, lacking.first()) {
            (SandboxMode::Off, _) => Finding::bad(
                "sandbox",
                "pool.sandbox is \"off\": workers are not confined",
                "set it to \"required\" and reload; off is for debugging only",
            ),
            (_, Some(what)) => Finding::warn(
                "sandbox",
                format!("{}: {what}", mode.name()),
                "needs Linux 6.12 or later with Landlock and seccomp, and a container that permits both",
            ),
            (_, None) => {
                Finding::good("sandbox", format!("{}: every layer is in force", mode.name()))
            }
        }
    }

    fn store_finding(&self) -> Finding {
        let recorder = self.recording.recorder().status();
        let stats = &recorder.stats;
        let what = format!(
            "{}: {} stored, {} buffered, {} in the spool, {} set aside",
            stats.store, stats.flushed, stats.buffered, stats.spilled, stats.dead_letters
        );
        match recorder.degraded {
            Some(why) => Finding::bad(
                "database",
                format!("{why}; {what}"),
                if stats.store == "sqlite" {
                    "judging goes on and judgments wait in memory until it is mended: a stop before that loses them"
                } else {
                    "judging goes on and judgments are kept in the spool; mend the database, nothing else is needed"
                },
            ),
            None if stats.dead_letters > 0 => Finding::warn(
                "database",
                what,
                "`cynicctl dead-letters list` says why; mend the schema, then `cynicctl dead-letters retry --all`",
            ),
            None => Finding::good("database", what),
        }
    }
}

fn no_store(why: &str) -> Finding {
    Finding::bad(
        "database",
        why.to_owned(),
        "judging goes on meanwhile; mend the database, nothing else is needed",
    )
}

/// What is said of the host goes by what is in force: some keys are read only at the start.
fn host_findings(source: &Source, config: &Config, started: &Config, size: u16) -> Vec<Finding> {
    vec![
        configuration(source, config, started),
        disk(&started.data_dir),
        descriptors(started.clients_max, config.limits.memory_bytes, size),
        service_manager(),
    ]
}

fn configuration(source: &Source, config: &Config, started: &Config) -> Finding {
    let check = "configuration";
    let file = source.file.as_ref().map_or_else(
        || "built-in defaults and the environment".to_owned(),
        |path| std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string(),
    );
    match source.load() {
        Err(error) => Finding::bad(
            check,
            chain(&error),
            "the daemon still works by what it read before, but would not start again: mend it",
        ),
        Ok(now) if now != *config => Finding::warn(
            check,
            format!("{file} has changed since it was read"),
            "`cynicctl reload` puts it in force",
        ),
        Ok(_) => match waiting_for_restart(started, config)[..] {
            [] => Finding::good(check, file),
            ref waiting => Finding::warn(
                check,
                format!("{file}; not in force yet: {}", waiting.join(", ")),
                "`systemctl restart cynicd` puts it in force",
            ),
        },
    }
}

/// A size in MiB, or GiB from 10 of them.
fn scaled(bytes: u64) -> String {
    if bytes >= 10 << 30 { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}

fn disk(data_dir: &Path) -> Finding {
    let advice = "free some space, or move data_dir; when it is full judgments wait in memory, then work is refused";
    match rustix::fs::statvfs(data_dir) {
        Err(error) => Finding::bad(
            "disk",
            format!("could not look at {}: {error}", data_dir.display()),
            "is the data directory still there?",
        ),
        Ok(space) => {
            let free = space.f_bavail * space.f_frsize;
            let what = format!("{} free for {}", scaled(free), data_dir.display());
            match free {
                DISK_BYTES_WARN.. => Finding::good("disk", what),
                DISK_BYTES_BAD.. => Finding::warn("disk", what, advice),
                _ => Finding::bad("disk", what, advice),
            }
        }
    }
}

fn descriptors(clients_max: usize, memory_bytes: u64, size: u16) -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let limit = limit.current.unwrap_or(u64::MAX);
    let workers = u64::from(size) * DESCRIPTORS_PER_WORKER;
    let needed = clients_max as u64 + workers + DESCRIPTORS_OTHER;
    let what = format!(
        "{limit} open files allowed, at most {needed} needed; {} MiB of memory for each worker, of which there are {}",
        memory_bytes >> 20,
        size
    );
    if limit < needed {
        let advice = "raise LimitNOFILE= of the unit (or `ulimit -n`), or lower clients.max";
        Finding::warn("limits", what, advice)
    } else {
        Finding::good("limits", what)
    }
}

fn service_manager() -> Finding {
    let notified = std::env::var_os("NOTIFY_SOCKET").is_some();
    let watched = std::env::var_os("WATCHDOG_USEC").is_some();
    let what = match (notified, watched) {
        (true, true) => "notified, with a watchdog",
        (true, false) => "notified, without a watchdog",
        (false, _) => "none: nobody restarts this daemon if it fails",
    };
    if notified && !watched {
        Finding::warn("service manager", what, "set WatchdogSec= in the unit")
    } else {
        Finding::good("service manager", what)
    }
}
