//! The embedded migrations, and the refusal of a schema that only a later build knows.

use std::path::Path;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{PgConnection, SqlSafeStr, SqliteConnection};

use super::error::RecorderError;
use super::sqlite::has_room;
use super::sqlite::not_opened;

/// Version, name and text of each migration, oldest first. A released one is never changed: its checksum is
/// in every database.
type Script = (i64, &'static str, &'static str);

const SQLITE: &[Script] = &[
    (1, "first", include_str!("../../migrations/sqlite/0001_first.sql")),
    (2, "feedback", include_str!("../../migrations/sqlite/0002_feedback.sql")),
    (3, "sketches", include_str!("../../migrations/sqlite/0003_sketches.sql")),
    (4, "features", include_str!("../../migrations/sqlite/0004_features.sql")),
];
const POSTGRES: &[Script] = &[
    (1, "first", include_str!("../../migrations/postgres/0001_first.sql")),
    (2, "feedback", include_str!("../../migrations/postgres/0002_feedback.sql")),
    (3, "features", include_str!("../../migrations/postgres/0003_features.sql")),
];
const SPOOL: &[Script] = &[
    (1, "first", include_str!("../../migrations/spool/0001_first.sql")),
    (2, "calibration", include_str!("../../migrations/spool/0002_calibration.sql")),
];

/// Where sqlx keeps what has been applied.
const APPLIED: &str = "SELECT max(version) FROM _sqlx_migrations";

pub(super) async fn migrate_sqlite(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), RecorderError> {
    migrate_file(connection, path, SQLITE).await
}

pub(super) async fn migrate_spool(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), RecorderError> {
    migrate_file(connection, path, SPOOL).await
}

async fn migrate_file(
    connection: &mut SqliteConnection,
    path: &Path,
    scripts: &'static [Script],
) -> Result<(), RecorderError> {
    refuse_newer_file(connection, path, scripts).await?;
    migrator(scripts).run_direct(None, connection, false).await.map_err(|source| {
        if has_room(path) {
            RecorderError::Migrate { database: path.display().to_string(), source }
        } else {
            RecorderError::NoRoom { path: path.to_owned(), source: source.into() }
        }
    })
}

/// Refuses an embedded store of a later build: before it is checked, which takes long and changes nothing about that.
pub(super) async fn refuse_newer_sqlite(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), RecorderError> {
    refuse_newer_file(connection, path, SQLITE).await
}

async fn refuse_newer_file(
    connection: &mut SqliteConnection,
    path: &Path,
    scripts: &[Script],
) -> Result<(), RecorderError> {
    let failed = |source| not_opened(path, source);
    let tracked: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
    if tracked > 0 {
        let found: Option<i64> =
            sqlx::query_scalar(APPLIED).fetch_one(&mut *connection).await.map_err(failed)?;
        refuse_newer(&path.display().to_string(), found, scripts)?;
    }
    Ok(())
}

fn refuse_newer(
    database: &str,
    found: Option<i64>,
    scripts: &[Script],
) -> Result<(), RecorderError> {
    let known = newest(scripts);
    match found {
        Some(found) if found > known => {
            Err(RecorderError::NewerSchema { database: database.to_owned(), found, known })
        }
        _ => Ok(()),
    }
}

fn newest(scripts: &[Script]) -> i64 {
    scripts.iter().map(|(version, ..)| *version).max().unwrap_or(0)
}

fn migrator(scripts: &'static [Script]) -> Migrator {
    let migrations = scripts.iter().map(|(version, name, sql)| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// Brings the server's schema up to date. Several hosts may do so at once: the migrator takes a lock.
pub(super) async fn migrate_postgres(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
) -> Result<(), RecorderError> {
    let database = format!(
        "database {} on {}",
        options.get_database().unwrap_or(options.get_username()),
        options.get_host()
    );
    let failed = |source| RecorderError::Open { path: database.clone().into(), source };
    let tracked: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if tracked {
        let found: Option<i64> =
            sqlx::query_scalar(APPLIED).fetch_one(&mut *connection).await.map_err(failed)?;
        refuse_newer(&database, found, POSTGRES)?;
    }
    migrator(POSTGRES)
        .run_direct(None, connection, false)
        .await
        .map_err(|source| RecorderError::Migrate { database, source })
}

/// Whether a schema is one that this build does not know, which no waiting changes.
pub(super) fn is_of_another_build(error: &RecorderError) -> bool {
    let RecorderError::Migrate { source, .. } = error else {
        return matches!(error, RecorderError::NewerSchema { .. });
    };
    matches!(source, MigrateError::VersionMismatch(_) | MigrateError::VersionMissing(_))
}

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;

    use super::super::columns;
    use super::*;

    #[tokio::test]
    async fn judgments_of_a_store_with_features_stay_without_them() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let earlier: &[Script] = &SQLITE[..3];
        migrator(earlier).run_direct(None, &mut connection, false).await.unwrap();
        let columns = columns::judgment();
        let value = |column: &String| match column.as_str() {
            "verdict" => "'WAG'",
            "body_sha256" | "content" => "x'00'",
            "details" => "x'0102'",
            _ => "0",
        };
        let values: Vec<_> = columns.iter().map(value).collect();
        let insert = format!(
            "INSERT INTO judgments ({}, features) VALUES ({}, '{{}}')",
            columns.join(","),
            values.join(",")
        );
        sqlx::query(sqlx::AssertSqlSafe(insert)).execute(&mut connection).await.unwrap();
        migrate_sqlite(&mut connection, Path::new("memory")).await.unwrap();
        let kept: (Vec<u8>, String) = sqlx::query_as(
            "SELECT j.details, e.verdict FROM judgments j JOIN episodes e USING (task_id)",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        assert_eq!(kept, (vec![1, 2], "WAG".to_owned()));
    }
}
