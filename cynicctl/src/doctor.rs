//! `doctor`: looks over everything that judging depends on, from this side and from the daemon's, and says what
//! to do about it.

use std::fmt::Write as _;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use cynic_proto::client::{Client, ClientError, unexpected};
use cynic_proto::finding::{Finding, FindingState};
use cynic_proto::handshake::BUILD;
use cynic_proto::message::{RefusalKind, Reply, Request};
use cynic_proto::socket::admin_of;

use crate::daemon::{connect_for, print, within};
use crate::exit::Exit;
use crate::text::{printable, wrap};
use crate::view::json;
use crate::view::style::{BAD, FAINT, GOOD, WARN, columns, paint};

/// How long the daemon may take to greet, and to look itself over: above what it gives its store to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where what was found begins, behind the mark and the check's name.
const INDENT: usize = 24;

/// Looks and reports. Ends with 0 unless something does not work.
pub(crate) async fn run(socket: PathBuf, as_json: bool) -> Result<Exit> {
    let admin_socket = admin_of(&socket);
    let mut findings = vec![kernel(), seccomp(), landlock(), socket_file(&socket)];
    findings.extend(admin_socket_file(&admin_socket));
    match within(PATIENCE, connect_for(&Request::Doctor, socket)).await {
        Ok(client) => {
            findings.push(Finding::good("connection", format!("this program is {BUILD}")));
            findings.extend(of_daemon(&client).await);
        }
        Err(error) => findings.push(failed("connection", error)),
    }
    print(&if as_json { json::line(&findings)? } else { text(&findings, columns()) })?;
    let worst = findings.iter().map(|finding| finding.state).max();
    Ok(if worst == Some(FindingState::Bad) { Exit::Failed } else { Exit::Success })
}

/// What the daemon finds. That it does not say is found too, beside what can be seen without it.
async fn of_daemon(client: &Client) -> Vec<Finding> {
    let answer = within(PATIENCE, client.request(Request::Doctor, Bytes::new())).await;
    match answer.map(|(reply, _)| reply) {
        Ok(Reply::Findings(found)) => found,
        Ok(Reply::Refused { kind: RefusalKind::NotPermitted, message }) => {
            let advice = "run it with sudo to see what the daemon sees";
            vec![Finding::warn("daemon", message, advice)]
        }
        Ok(other) => vec![failed("daemon", unexpected(other))],
        Err(error) => vec![failed("daemon", error)],
    }
}

fn text(findings: &[Finding], columns: usize) -> String {
    let mut out = String::new();
    for finding in findings {
        let mark = match finding.state {
            FindingState::Good => paint(GOOD, "good"),
            FindingState::Warn => paint(WARN, "warn"),
            FindingState::Bad => paint(BAD, "bad "),
        };
        let check = printable(&finding.check);
        let room = columns.saturating_sub(INDENT).max(20);
        let lines = wrap(&printable(&finding.what), room);
        let head = format!("{mark}  {check:<width$}", width = INDENT - 6);
        let blank = " ".repeat(INDENT);
        for (n, line) in lines.iter().enumerate() {
            let _ = writeln!(out, "{}{line}", if n == 0 { &head } else { &blank });
        }
        let advice = wrap(&printable(&finding.advice), room.saturating_sub(2));
        for (n, line) in advice.iter().filter(|line| !line.is_empty()).enumerate() {
            let mark = if n == 0 { "→" } else { " " };
            let _ = writeln!(out, "{:INDENT$}{}", "", paint(FAINT, &format!("{mark} {line}")));
        }
    }
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (bad, warn) = (count(FindingState::Bad), count(FindingState::Warn));
    let sum = match (bad, warn) {
        (0, 0) => paint(GOOD, "all is well"),
        (0, warn) => format!("works; to be looked after: {warn}"),
        (bad, warn) => format!("does not work: {bad}; to be looked after: {warn}"),
    };
    out + &sum + "\n"
}

fn failed(check: &str, error: ClientError) -> Finding {
    let advice = match error {
        ClientError::NotRunning { .. } => {
            "start it: `systemctl start cynicd`, or run `cynicd`; `journalctl -u cynicd` says why it ended"
        }
        ClientError::NotPermitted { .. } => {
            "have yourself added to the socket's group, usually `cynic` (`usermod -aG cynic USER`), and log in again"
        }
        ClientError::Handshake(_) => "install the same release of cynicctl and cynicd",
        _ => "look into the daemon's log: `journalctl -u cynicd`",
    };
    Finding::bad(check, format!("{:#}", anyhow::Error::new(error)), advice)
}

fn socket_file(path: &Path) -> Finding {
    let check = "socket";
    let meta = match std::fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let what = format!("{} is not there", path.display());
            return Finding::bad(
                check,
                what,
                "is the daemon running, and is --socket or CYNIC_SOCKET right?",
            );
        }
        Err(error) => {
            let what = format!("could not look at {}: {error}", path.display());
            return Finding::bad(check, what, "may this user enter its directory?");
        }
    };
    let mode = meta.mode() & 0o777;
    let group = group_name(meta.gid());
    let what = format!(
        "{}: mode {mode:04o}, owner {}, group {group}, {}",
        path.display(),
        user_name(meta.uid()),
        belonging(&meta),
    );
    if !meta.file_type().is_socket() {
        Finding::bad(check, format!("{what}; it is no socket"), "remove it and start the daemon")
    } else if !may_ask(&meta) {
        let advice = if meta.gid() == 0 {
            "give it a group of its own: `socket_group`, or SocketGroup= of the socket's unit"
                .to_owned()
        } else {
            format!("have yourself added to it (`usermod -aG {group} USER`) and log in again")
        };
        Finding::bad(check, what, &advice)
    } else if mode & 0o007 != 0 {
        let advice = "every user may ask for judgments; set SocketMode=0660 (or socket_mode) unless that is meant";
        Finding::warn(check, what, advice)
    } else {
        Finding::good(check, what)
    }
}

/// Where operators connect; nothing is said of one that this user cannot see.
fn admin_socket_file(path: &Path) -> Option<Finding> {
    let meta = std::fs::symlink_metadata(path).ok()?;
    let mode = meta.mode() & 0o777;
    let (owner, group) = (user_name(meta.uid()), group_name(meta.gid()));
    let what = format!("{}: mode {mode:04o}, owner {owner}, group {group}", path.display());
    let open = mode & 0o007 != 0;
    Some(if open {
        let advice = "every user may change how the daemon works; give it mode 0600, or 0660 and a group of operators";
        Finding::bad("admin socket", what, advice)
    } else {
        Finding::good("admin socket", what)
    })
}

/// What this user is to a file.
fn belonging(meta: &Metadata) -> &'static str {
    if nix::unistd::geteuid().as_raw() == meta.uid() {
        "which this user is"
    } else if in_group(meta.gid()) {
        "of which this user is a member"
    } else {
        "of which this user is no member"
    }
}

fn may_ask(meta: &Metadata) -> bool {
    let own = nix::unistd::geteuid();
    own.is_root() || own.as_raw() == meta.uid() || in_group(meta.gid()) || meta.mode() & 0o002 != 0
}

fn in_group(gid: u32) -> bool {
    let is = |group: &nix::unistd::Gid| group.as_raw() == gid;
    is(&nix::unistd::getegid()) || nix::unistd::getgroups().is_ok_and(|all| all.iter().any(is))
}

/// The name, or the number where there is none.
fn user_name(uid: u32) -> String {
    let user = nix::unistd::User::from_uid(uid.into());
    user.ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

fn group_name(gid: u32) -> String {
    let group = nix::unistd::Group::from_gid(gid.into());
    group.ok().flatten().map_or_else(|| gid.to_string(), |group| group.name)
}

/// The oldest kernel whose Landlock confines signals and abstract sockets.
const KERNEL_MIN: (u32, u32) = (6, 12);

fn kernel() -> Finding {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let mut numbers = release.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) >= KERNEL_MIN => {
            Finding::good("kernel", format!("Linux {release}"))
        }
        (Some(_), Some(_)) => Finding::warn(
            "kernel",
            format!("Linux {release} is older than {}.{}", KERNEL_MIN.0, KERNEL_MIN.1),
            "Landlock confines less there: with pool.sandbox = \"required\" workers may refuse to start",
        ),
        _ => Finding::good("kernel", "its release cannot be read here"),
    }
}

fn seccomp() -> Finding {
    let actions = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail");
    match actions {
        Ok(actions) if actions.contains("kill_process") => {
            Finding::good("seccomp", "filters can kill a process")
        }
        Ok(actions) => Finding::bad(
            "seccomp",
            format!("the kernel offers only {}", actions.trim()),
            "workers need filters that kill: use a kernel with CONFIG_SECCOMP_FILTER",
        ),
        // Not to be seen in many containers; the daemon's own finding tells.
        Err(_) => Finding::good("seccomp", "cannot be seen from here; see `sandbox`"),
    }
}

fn landlock() -> Finding {
    match std::fs::read_to_string("/sys/kernel/security/lsm") {
        Ok(modules) if modules.split(',').any(|module| module.trim() == "landlock") => {
            Finding::good("landlock", "is in force")
        }
        Ok(modules) => Finding::bad(
            "landlock",
            format!("is not among the security modules: {}", modules.trim()),
            "boot with lsm=landlock,… on the kernel's command line",
        ),
        Err(_) => Finding::good("landlock", "cannot be seen from here; see `sandbox`"),
    }
}
