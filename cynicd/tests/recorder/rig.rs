//! A recorder on a store of its own, and a look into that store behind the recorder's back.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cynicd::recorder::{
    CloseReport, Database, Entry, Fate, Recorder, RecorderConfig, RecorderHandle, RecorderStatus,
    RecorderThread,
};
use sqlx::{Connection, PgConnection, Row, SqliteConnection};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::postgres::Server;

/// Only what never happens meets this.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// How often a condition is looked at.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(5);

pub(crate) struct Rig {
    pub dir: TempDir,
    pub server: Option<Server>,
    pub config: RecorderConfig,
    running: Option<(RecorderHandle, RecorderThread)>,
}

impl Rig {
    pub(crate) fn sqlite() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let mut config = RecorderConfig::new(dir.path().join("data"));
        // The entries of the tests are of a fixed time, that of the tests is not.
        config.retention.age_max = None;
        Rig { dir, server: None, config, running: None }
    }

    pub(crate) fn postgres() -> Rig {
        let server = Server::start(false);
        let mut rig = Rig::sqlite();
        rig.config.database = Database::Postgres(server.url());
        rig.server = Some(server);
        rig
    }

    /// Starts a recorder, or starts one again on what the last left.
    pub(crate) fn start(&mut self) -> RecorderHandle {
        assert!(self.running.is_none(), "it runs already");
        let (handle, thread) = Recorder::start(self.config.clone()).expect("the recorder starts");
        self.running = Some((handle.clone(), thread));
        handle
    }

    /// Closes the recorder, with time enough.
    pub(crate) async fn close(&mut self) -> CloseReport {
        self.close_within(DEADLINE).await
    }

    pub(crate) async fn close_within(&mut self, budget: Duration) -> CloseReport {
        let (handle, thread) = self.running.take().expect("it runs");
        let report = handle.close(budget).await.unwrap();
        assert_eq!(thread.join().unwrap(), report);
        report
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.config.data_dir.join("cynic.db")
    }

    /// The one integer that a statement selects, read past the recorder.
    pub(crate) async fn integer(&self, sql: &'static str) -> i64 {
        match &self.config.database {
            Database::Sqlite => {
                let url = format!("sqlite://{}?mode=ro", self.database().display());
                let mut connection = SqliteConnection::connect(&url).await.unwrap();
                sqlx::query(sql).fetch_one(&mut connection).await.unwrap().get(0)
            }
            Database::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::query(sql).fetch_one(&mut connection).await.unwrap().get(0)
            }
        }
    }

    /// Runs statements past the recorder.
    pub(crate) async fn execute(&self, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match &self.config.database {
            Database::Sqlite => {
                let url = format!("sqlite://{}", self.database().display());
                let mut connection = SqliteConnection::connect(&url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
            Database::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
        }
    }

    pub(crate) async fn judgments(&self) -> i64 {
        self.integer("SELECT count(*) FROM judgments").await
    }
}

/// Hands an entry over and brings back its fate.
pub(crate) fn submit(handle: &RecorderHandle, entry: Entry) -> oneshot::Receiver<Fate> {
    let (sender, fate) = oneshot::channel();
    let on_settled = Box::new(move |fate| sender.send(fate).expect("the test waits"));
    handle.submit(entry, Some(on_settled)).expect("there is room");
    fate
}

/// Waits until the recorder's status is as wanted.
pub(crate) async fn status(handle: &RecorderHandle, wanted: impl Fn(&RecorderStatus) -> bool) {
    let mut watch = handle.watch();
    let waiting = watch.wait_for(|status| wanted(status));
    let found = tokio::time::timeout(DEADLINE, waiting).await.map(|found| found.is_ok());
    assert_eq!(found, Ok(true), "last seen: {:?}", handle.status());
}

/// Waits for anything else, looking again and again.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds().await {
        assert!(Instant::now() < deadline, "still not: {what}");
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Defines a test twice: on SQLite and on PostgreSQL.
macro_rules! on_both_stores {
    ($($(#[$attribute:meta])* async fn $name:ident($rig:ident: Rig) $body:block)+) => {
        mod sqlite {
            use super::*;
            $($(#[$attribute])* #[tokio::test] async fn $name() {
                let mut $rig = Rig::sqlite();
                $body
            })+
        }
        mod postgres {
            use super::*;
            $($(#[$attribute])* #[tokio::test] async fn $name() {
                let mut $rig = Rig::postgres();
                $body
            })+
        }
    };
}
pub(crate) use on_both_stores;
