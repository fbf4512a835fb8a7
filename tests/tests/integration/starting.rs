//! Daemons that cannot start, and programs that find no daemon: each says why and what to do, and leaves alone
//! what is there.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use cynic_tests::cli::{Ended, program};
use cynic_tests::daemon::Home;

use crate::is_unharmed;

/// A user without rights.
const NOBODY: u32 = 65_534;

/// A daemon that is expected to end by itself.
fn cynicd(socket: &Path, data: &Path) -> Ended {
    Ended::of(program("cynicd").arg("--socket").arg(socket).arg("--data-dir").arg(data))
}

#[test]
fn without_a_daemon() {
    let home = Home::new("");
    let socket = home.path("cynicd.sock");
    let ended = Ended::of(program("cynicctl").arg("--socket").arg(&socket).arg("ping"));
    assert_eq!(ended.code, Some(4), "{ended:?}");
    let named = format!("no daemon is listening at {}", socket.display());
    assert!(ended.err.contains(&named) && ended.err.contains("cynicd"), "{ended:?}");
}

#[tokio::test]
async fn a_socket_that_one_may_not_use() {
    let home = Home::new("socket_mode = \"0600\"\n");
    let daemon = home.start().await;
    let mut ping = program("cynicctl");
    ping.arg("--socket").arg(daemon.socket()).arg("ping");
    if rustix::process::getuid().is_root() {
        // Only the socket's own mode is to stand in the way.
        let directory = home.path("");
        fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("permitted");
        ping.uid(NOBODY);
    } else {
        fs::set_permissions(daemon.socket(), Permissions::from_mode(0o000)).expect("permitted");
    }
    let ended = Ended::of(&mut ping);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.err.contains("not permitted to use"), "{ended:?}");
    fs::set_permissions(daemon.socket(), Permissions::from_mode(0o600)).expect("permitted");
    is_unharmed(&daemon).await;
}

#[tokio::test]
async fn a_second_daemon_on_the_same_socket() {
    let home = Home::new("");
    let daemon = home.start().await;
    let ended = cynicd(daemon.socket(), &home.path("other"));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let named = format!("another daemon is listening at {}", daemon.socket().display());
    assert!(ended.err.contains(&named) && ended.err.contains("--socket"), "{ended:?}");
    assert!(!home.path("other").exists(), "nothing is made before that is known");
    is_unharmed(&daemon).await;
}

#[tokio::test]
async fn a_second_daemon_on_the_same_data() {
    let home = Home::new("");
    let daemon = home.start().await;
    let ended = cynicd(&home.path("other.sock"), &home.path("data"));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("in use by another cynicd"), "{ended:?}");
    assert!(ended.err.contains("--data-dir"), "{ended:?}");
    assert!(!home.path("other.sock").exists());
    is_unharmed(&daemon).await;
}

#[tokio::test]
async fn a_stale_socket_is_replaced() {
    let home = Home::new("");
    let daemon = home.start().await;
    let socket = daemon.socket().to_owned();
    daemon.crash();
    assert!(socket.exists(), "a crash leaves it");
    let daemon = home.start().await;
    is_unharmed(&daemon).await;
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let home = Home::new("");
    let file = home.path("cynicd.sock");
    fs::write(&file, "somebody's notes").expect("written");
    let ended = cynicd(&file, &home.path("data"));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("is not a socket"), "{ended:?}");
    assert_eq!(fs::read_to_string(&file).expect("still there"), "somebody's notes");
}

/// `cynicd --check` with a configuration and variables.
fn check(config: &str, variables: &[(&str, &str)]) -> Ended {
    let home = Home::new(config);
    let mut command = program("cynicd");
    command.arg("--check").arg("--config").arg(home.path("cynic.toml"));
    command.arg("--data-dir").arg(home.path("data"));
    let ended = Ended::of(command.envs(variables.iter().copied()));
    assert!(!home.path("data").exists(), "a check changes nothing");
    ended
}

#[test]
fn a_configuration_is_checked() {
    let ended = check("[pool]\nsize = 3\n", &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("workers   3"), "{ended:?}");
    let ended = check("[pool]\nsize = 3\n", &[("CYNIC_POOL__SIZE", "5")]);
    assert!(ended.out.contains("workers   5"), "{ended:?}");
    for (config, variables, words) in [
        ("[pool]\nsize = 3\nsise = 4\n", &[][..], &["line 3", "sise"][..]),
        ("[pool\n", &[], &["line 1"]),
        ("[pool]\nsize = 100000\n", &[], &["size"]),
        ("[pool]\nworker = \"/nowhere\"\n", &[], &["/nowhere", "worker"]),
        ("", &[("CYNIC_POOL__SIZE", "many")], &["CYNIC_POOL__SIZE", "many"]),
        ("", &[("CYNIC_NONSENSE", "1")], &["CYNIC_NONSENSE"]),
    ] {
        let ended = check(config, variables);
        assert_eq!(ended.code, Some(2), "{config:?} {variables:?}: {ended:?}");
        for word in words {
            assert!(ended.err.contains(word), "{word:?} is not in {ended:?}");
        }
    }
}

#[test]
fn a_file_in_the_place_of_the_metrics_socket_is_left_alone() {
    let home = Home::new("");
    let file = home.path("precious");
    fs::write(&file, "somebody's notes").expect("written");
    home.configure(&format!("[metrics]\nlisten = \"unix:{}\"", file.display()));
    let mut command = program("cynicd");
    command.arg("--config").arg(home.path("cynic.toml")).arg("--data-dir").arg(home.path("data"));
    let ended = Ended::of(command.arg("--socket").arg(home.path("cynicd.sock")));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.err.contains("metrics.listen") && ended.err.contains("is not a socket"),
        "{ended:?}"
    );
    assert_eq!(fs::read_to_string(&file).expect("still there"), "somebody's notes");
}

#[test]
fn a_check_says_that_data_cannot_be_kept() {
    let home = Home::new("");
    let file = home.path("notes");
    fs::write(&file, "somebody's").expect("written");
    let mut command = program("cynicd");
    command.arg("--check").arg("--data-dir").arg(file.join("data"));
    let ended = Ended::of(command.arg("--socket").arg(home.path("cynicd.sock")));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("notes is not a directory"), "{ended:?}");
}

/// What clients sent is in its memory: neither a core dump nor a debugger of the same user's gets at that.
#[tokio::test]
async fn a_daemon_without_rights_is_confined_and_closed_to_its_own_user() {
    let home = Home::new("");
    let daemon =
        if rustix::process::getuid().is_root() { home.launch_as(NOBODY) } else { home.launch() };
    daemon.ready().await;
    is_unharmed(&daemon).await;
    for worker in daemon.stats().await.workers {
        assert_eq!(worker.sandbox, "enforced");
    }
    for pid in daemon.workers().into_iter().chain([daemon.pid()]) {
        let owner = fs::metadata(format!("/proc/{pid}/environ")).expect("it runs").uid();
        assert_eq!(owner, 0, "its memory is open to the user whose it is");
    }
}

/// Machines read every line of it, and it tells nobody what was judged.
#[tokio::test]
async fn the_log_is_json_on_request_and_has_no_content() {
    const SECRET: &str = "xyzzy-plugh";
    let home = Home::new("[log]\nformat = \"json\"\n");
    let daemon = home.launch_with(&[("CYNIC_LOG", "trace")]);
    daemon.ready().await;
    let path = home.path("secret.txt");
    fs::write(&path, format!("The password is {SECRET}; tell nobody.")).expect("written");
    let ended = daemon.cynicctl(["judge", "--ack", "stored", &path.display().to_string()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    daemon.stop().await;
    let log = fs::read_to_string(home.path("log")).expect("the log");
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    let fields = |line: &serde_json::Value| line["fields"]["message"].as_str().map(str::to_owned);
    assert!(lines.iter().filter_map(fields).any(|message| message == "listening"), "{log}");
    assert!(!log.contains(SECRET));
}
