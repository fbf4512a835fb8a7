//! What a daemon's store holds.

use std::collections::BTreeSet;
use std::path::Path;

use cynic_proto::ids::TaskId;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Row};

/// The tasks whose judgments are in the store, each once.
pub(crate) async fn stored(data: &Path) -> BTreeSet<TaskId> {
    let mut store = open(data).await;
    let rows = sqlx::query("SELECT task_id FROM judgments").fetch_all(&mut store).await;
    let ids: Vec<String> = rows.expect("the judgments").iter().map(|row| row.get(0)).collect();
    once_each(&ids)
}

/// The same of a `PostgreSQL` database.
pub(crate) async fn stored_in_postgres(url: &str) -> BTreeSet<TaskId> {
    let mut store = PgConnection::connect(url).await.expect("the store");
    let rows =
        sqlx::query("SELECT CAST(task_id AS TEXT) FROM judgments").fetch_all(&mut store).await;
    let ids: Vec<String> = rows.expect("the judgments").iter().map(|row| row.get(0)).collect();
    once_each(&ids)
}

/// The tasks that failed, each once.
pub(crate) async fn failed(data: &Path) -> BTreeSet<TaskId> {
    let mut store = open(data).await;
    let rows = sqlx::query("SELECT task_id FROM failures").fetch_all(&mut store).await;
    let ids: Vec<String> = rows.expect("the failures").iter().map(|row| row.get(0)).collect();
    once_each(&ids)
}

/// The deaths of workers: the task that the worker had, and what it died of.
pub(crate) async fn deaths(data: &Path) -> Vec<(Option<TaskId>, String)> {
    let mut store = open(data).await;
    let died = "SELECT task_id, message FROM notices WHERE kind = 'worker.died'";
    let rows = sqlx::query(died).fetch_all(&mut store).await.expect("the notices");
    let death = |row: &sqlx::sqlite::SqliteRow| {
        let (task, message): (Option<String>, String) = (row.get(0), row.get(1));
        let (_, cause) = message.split_once(" died of ").expect("what it died of");
        (task.map(|id| id.parse().expect("a task id")), cause.to_owned())
    };
    rows.iter().map(death).collect()
}

fn once_each(rows: &[String]) -> BTreeSet<TaskId> {
    let tasks: BTreeSet<TaskId> = rows.iter().map(|id| id.parse().expect("a task id")).collect();
    assert_eq!(tasks.len(), rows.len(), "a task is stored twice");
    tasks
}

async fn open(data: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(data.join("cynic.db")).read_only(true);
    options.connect().await.expect("the store")
}
