//! Every request that there is, tried by users of every role at a real daemon, with the program that people use.
//!
//! Another user can only be had by root; elsewhere the tests say so and end.

use std::fs;

use cynic_proto::access::Role;
use cynic_proto::socket::admin_of;
use cynic_tests::cli::Ended;
use cynic_tests::daemon::{Daemon, Home};

use crate::access::{as_member, is_root, open_home};
use crate::text;

/// Groups that no host has given to anybody, and the role that each is given here.
const JUDGES: u32 = 54_331;
const READERS: u32 = 54_332;
const ADMINS: u32 = 54_333;
/// The admin socket's group, which may open it and gets no role by that.
const DOORKEEPERS: u32 = 54_334;

/// Users, by their groups.
const USERS: &[(&str, &[u32], &[Role])] = &[
    ("a judge", &[JUDGES], &[Judge]),
    ("a reader", &[READERS], &[Read]),
    ("a judge in the admin socket's group", &[JUDGES, DOORKEEPERS], &[Judge]),
    ("a reader in the admin socket's group", &[READERS, DOORKEEPERS], &[Read]),
    // All roles, but the file's mode keeps it from where one of them is given.
    ("an admin outside", &[ADMINS], &[Judge, Read]),
    ("an admin", &[ADMINS, DOORKEEPERS], &Role::ALL),
];

/// A task that nobody has sent.
const NOBODYS: &str = "019123ab-4567-7abc-8def-0123456789ab";

const DOCTOR: &str = "doctor";

const SUCCESS: i32 = 0;
const REFUSED: i32 = 5;
const NOT_FOUND: i32 = 6;

use Role::{Admin, Judge, Read};

/// Each request: what is typed, the roles of which one is enough (the first is named to who has none of them), and how
/// it ends for who is allowed to.
const REQUESTS: &[(&[&str], &[Role], i32)] = &[
    (&["ping"], &Role::ALL, SUCCESS),
    (&["stats"], &Role::ALL, SUCCESS),
    (&["ping", "--deep"], &[Judge], SUCCESS),
    (&["judge", "ITEM"], &[Judge], SUCCESS),
    // Of others' tasks judges see nothing, as a test of its own shows.
    (&["history"], &[Read, Judge], SUCCESS),
    (&["show", NOBODYS], &[Read, Judge], NOT_FOUND),
    (&["feedback", NOBODYS, "bad"], &[Read, Judge], NOT_FOUND),
    (&["export"], &[Read, Judge], SUCCESS),
    // Refused and not merely left empty: it is counted and logged like the others.
    (&["history", "--uid", "0"], &[Read], SUCCESS),
    (&["events"], &[Read], SUCCESS),
    (&["quarantine", "list"], &[Read], SUCCESS),
    (&["quarantine", "show", NOBODYS], &[Read], NOT_FOUND),
    (&["dead-letters", "list"], &[Read], SUCCESS),
    (&["dead-letters", "show", NOBODYS], &[Read], NOT_FOUND),
    (&["calibrate"], &[Read], SUCCESS),
    (&["calibrate", "--dry-run"], &[Read], SUCCESS),
    (&["calibrate", "--apply"], &[Admin], SUCCESS),
    (&["calibrate", "--revert", "0"], &[Admin], SUCCESS),
    (&["quarantine", "drop", NOBODYS], &[Admin], NOT_FOUND),
    (&["quarantine", "drop", "--all"], &[Admin], SUCCESS),
    (&["quarantine", "retry", NOBODYS], &[Admin], NOT_FOUND),
    (&["replay", NOBODYS], &[Admin], NOT_FOUND),
    (&["dead-letters", "retry", NOBODYS], &[Admin], NOT_FOUND),
    (&["dead-letters", "retry", "--all"], &[Admin], SUCCESS),
    (&["dead-letters", "drop", NOBODYS], &[Admin], NOT_FOUND),
    (&["dead-letters", "drop", "--all"], &[Admin], SUCCESS),
    (&["backup", "COPY"], &[Admin], SUCCESS),
    (&["log-level", "debug"], &[Admin], SUCCESS),
    (&["scale", "1"], &[Admin], SUCCESS),
    (&["kill-worker", "0"], &[Admin], SUCCESS),
    (&["restart-workers"], &[Admin], SUCCESS),
    (&["reload"], &[Admin], SUCCESS),
    (&["drain"], &[Admin], SUCCESS),
    (&["resume"], &[Admin], SUCCESS),
    (&[DOCTOR], &[Admin], SUCCESS),
];

/// A daemon whose roles go by those groups.
async fn daemon() -> (Home, Daemon) {
    let home = open_home(&format!(
        "judge = [\"@{JUDGES}\"]\nread = [\"@{READERS}\"]\nadmin = [\"@{ADMINS}\"]\n"
    ));
    let config = fs::read_to_string(home.path("cynic.toml")).expect("written");
    home.configure(&format!("admin_socket_group = {DOORKEEPERS}\n{config}\n[pool]\nsize = 2\n"));
    fs::write(home.path("mail.txt"), text()).expect("written");
    let daemon = home.start().await;
    (home, daemon)
}

/// What is typed, with the names of files in it.
fn typed(home: &Home, args: &[&str]) -> Vec<String> {
    let named = |arg: &&str| match *arg {
        "ITEM" => home.path("mail.txt").to_string_lossy().into_owned(),
        "COPY" => home.path("data/copy.db").to_string_lossy().into_owned(),
        other => other.to_owned(),
    };
    args.iter().map(named).collect()
}

/// A refusal that says which role is lacking, and what to do about it.
fn is_told_what_to_do(ended: &Ended, lacking: Role, daemon: &Daemon, what: &str) {
    // What the doctor cannot see is one of its findings, among those that it has all the same.
    let said = if what.ends_with(DOCTOR) { &ended.out } else { &ended.err };
    let code = if what.ends_with(DOCTOR) { SUCCESS } else { REFUSED };
    assert_eq!((ended.code, said.is_empty()), (Some(code), false), "{what}: {ended:?}");
    let mut told = vec![format!("takes role `{lacking}`"), format!("access.{lacking}")];
    if lacking == Admin {
        told.push(format!("given at {} only", admin_of(daemon.socket()).display()));
    } else {
        told.push("an administrator can add it, or a group of it".to_owned());
    }
    for told in told {
        assert!(said.contains(&told), "{what}: `{told}` is not in {said}");
    }
}

#[tokio::test]
async fn each_request_takes_its_role_and_no_other() {
    if !is_root() {
        return;
    }
    let (home, daemon) = daemon().await;
    let (client, workers) = (daemon.client().await, daemon.workers());
    let mut refused = 0;
    // The admin comes last: until then nothing may have been done.
    for (user, groups, roles) in USERS {
        if roles.contains(&Admin) {
            let stats = daemon.stats().await;
            assert!(stats.ready && !stats.draining, "{stats:?}");
            assert_eq!(daemon.workers(), workers, "something was done to workers");
            assert!(!home.path("data/copy.db").exists(), "a backup was made");
        }
        for (args, enough, code) in REQUESTS {
            let ended = as_member(&daemon, groups, &typed(&home, args));
            let what = format!("{user}: {}", args.join(" "));
            if enough.iter().any(|role| roles.contains(role)) {
                assert_eq!(ended.code, Some(*code), "{what}: {ended:?}\n{}", daemon.log());
            } else {
                is_told_what_to_do(&ended, enough[0], &daemon, &what);
                // Once for each canary of `ping --deep`.
                let counted = client.stats().await.expect("the figures").clients.refused;
                assert!(counted > refused, "{what}: not counted");
                refused = counted;
            }
        }
    }
}
