//! Scorers that judge nothing and take their time, as scorers that ask somebody else do.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use cynic_judge::{Analysis, BoxFuture, Judge, Panel, Scored, Scorer};
use cynic_proto::model::{Dimension, NEUTRAL_SCORE};

/// What each of them takes.
pub const TIME: Duration = Duration::from_millis(5);

fn neutral() -> Scored {
    Scored { score: NEUTRAL_SCORE, evidence: Vec::new() }
}

/// Thirty-six that wait at the same time.
pub fn awaited(judge: &Judge) -> Panel {
    let run = |_| -> BoxFuture<_> {
        Box::pin(async {
            tokio::time::sleep(TIME).await;
            Ok(neutral())
        })
    };
    replaced(judge, || Scorer::Awaited { budget: TIME * 20, run: Arc::new(run) })
}

/// Thirty-six that wait one after another.
pub fn in_turn(judge: &Judge) -> Panel {
    let run = |_: &Analysis| {
        thread::sleep(TIME);
        neutral()
    };
    replaced(judge, || Scorer::Computed(Arc::new(run)))
}

fn replaced(judge: &Judge, scorer: impl Fn() -> Scorer) -> Panel {
    let mut panel = judge.panel();
    for dimension in Dimension::ALL {
        panel.replace(dimension, scorer());
    }
    panel
}
