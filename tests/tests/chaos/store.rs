//! What a daemon's store holds.

use std::collections::BTreeSet;
use std::path::Path;

use cynic_proto::ids::TaskId;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Row};

/// The tasks whose judgments are in the store. The key of the table keeps a task from being there twice; what
/// belongs to a judgment must be there as often as the judgment.
pub(crate) async fn stored(data: &Path) -> BTreeSet<TaskId> {
    let mut store = open(data).await;
    let rows = sqlx::query("SELECT task_id FROM judgments").fetch_all(&mut store).await;
    let rows = rows.expect("the judgments");
    let tasks: BTreeSet<TaskId> =
        rows.iter().map(|row| row.get::<String, _>(0).parse().expect("a task id")).collect();
    assert_eq!(tasks.len(), rows.len(), "a task is stored twice");
    tasks
}

async fn open(data: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(data.join("cynic.db")).read_only(true);
    options.connect().await.expect("the store")
}
