//! A judgment at the soft budget: what was scored by then counts, what was not is named, and the client is told both.

use std::os::unix::fs::symlink;

use cynic_proto::model::{DIMENSIONS, Dimension};
use cynic_tests::daemon::{Daemon, Home};
use serde_json::Value;

use crate::items;

/// A daemon with so much time for scoring and one slow dimension, which takes 1.5 s; all others together take not a
/// hundredth of that.
async fn daemon(home: &Home, soft_ms: u32) -> Daemon {
    let link = home.path("slow_dimension");
    symlink(env!("CARGO_BIN_EXE_faulty_worker"), &link).expect("linked");
    home.configure(&items::config_with(&link, soft_ms, 30_000, "dimension_failures_max = 0"));
    std::fs::write(home.path("item.json"), items::ordinary(1)).expect("written");
    home.start().await
}

fn judge(daemon: &Daemon, home: &Home, args: &[&str]) -> String {
    let item = home.path("item.json");
    let ended = daemon.cynicctl(["judge", &*item.to_string_lossy()].iter().chain(args));
    assert_eq!(ended.code, Some(0), "{ended:?}\n{}", daemon.log());
    ended.out
}

fn json(daemon: &Daemon, home: &Home) -> Value {
    let line = judge(daemon, home, &["--json", "--ack", "stored"]);
    serde_json::from_str(&line).expect("an object")
}

/// What is said of each dimension that was not scored, in their order.
fn fallbacks(judged: &Value) -> Vec<(Dimension, String)> {
    let of = |dimension: Dimension| {
        let reason = judged["dimensions"][dimension.name()].get("fallback")?;
        Some((dimension, reason.as_str().expect("a reason").to_owned()))
    };
    Dimension::ALL.into_iter().filter_map(of).collect()
}

#[tokio::test]
async fn what_the_soft_budget_leaves_undone_is_told() {
    let patient = Home::new("");
    let with_time = daemon(&patient, 25_000).await;
    let whole = json(&with_time, &patient);
    assert_eq!((whole.get("partial"), fallbacks(&whole)), (None, Vec::new()), "{whole}");
    assert_eq!(whole["coverage"], "36/36");

    let hurried = Home::new("");
    let daemon = daemon(&hurried, 1000).await;
    let partial = json(&daemon, &hurried);
    assert_eq!(partial["partial"], true, "{partial}");
    // The slow one, and all behind it: they were not begun.
    let slow = Dimension::Vigilance as usize;
    let mut expected = vec![(Dimension::Vigilance, "overran its budget".to_owned())];
    expected.extend(Dimension::ALL[slow + 1..].iter().map(|d| (*d, "out of time".to_owned())));
    assert_eq!(fallbacks(&partial), expected);
    let covered = format!("{slow}/{DIMENSIONS}");
    assert_eq!(partial["coverage"], covered);
    let confidence = |judged: &Value| judged["confidence"].as_f64().expect("a number");
    assert!(confidence(&partial) < confidence(&whole), "{partial}\n{whole}");
    // The same dimensions, scored alike.
    for scored in &Dimension::ALL[..slow] {
        let of = |judged: &Value| judged["dimensions"][scored.name()].clone();
        assert_eq!(of(&partial), of(&whole), "{scored}");
    }

    let table = judge(&daemon, &hurried, &[]);
    assert!(table.contains(&format!("partial {covered}: ")), "{table}");
    let explained = judge(&daemon, &hurried, &["--explain"]);
    let told = format!("What was not checked ({covered} dimensions scored)");
    assert!(explained.contains(&told), "{explained}");
    for (dimension, reason) in &expected {
        let line = format!("{dimension}: taken as neutral, {reason}");
        assert!(explained.contains(&line), "{dimension}: {explained}");
    }
    assert!(
        explained.contains("the time ran out before all dimensions were scored"),
        "{explained}"
    );

    // It is stored as what it is.
    let task = partial["task_id"].as_str().expect("an id");
    let shown = daemon.cynicctl(["show", task, "--json"]);
    let shown = shown.json();
    assert_eq!(
        (&shown[0]["judgment"]["partial"], &shown[0]["judgment"]["coverage"]),
        (&partial["partial"], &partial["coverage"])
    );
    assert_eq!(fallbacks(&shown[0]["judgment"]), expected);
    for daemon in [with_time, daemon] {
        assert_eq!(daemon.stop().await, Some(0));
    }
}
