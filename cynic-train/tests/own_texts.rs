//! The project's own texts can be judged anywhere, without any data set.

use cynic_train::gates::{self, Plan};

#[test]
fn every_gate_over_own_texts_measures_something() {
    let gates = gates::own(Plan { cost: None }).gates;
    let unmeasured: Vec<_> = gates.iter().filter(|gate| gate.figure.is_none()).collect();
    assert!(unmeasured.is_empty(), "{unmeasured:#?}");
    assert!(gates.iter().filter(|gate| gate.bar.is_some()).count() >= 12, "the suite has shrunk");
}

#[test]
fn the_shipped_judge_reaches_its_bars_over_own_texts() {
    let gates = gates::own(Plan { cost: None });
    assert!(gates.missed().next().is_none(), "{gates}");
}
