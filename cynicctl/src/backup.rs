//! `cynicctl backup`: a copy of the store, made while the daemon works.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cynic_proto::client::unexpected;
use cynic_proto::message::{Reply, Request};

use crate::daemon::{ask, print};
use crate::exit::{Exit, UsageError};
use crate::text::{bytes, counted, printable};

/// Has the daemon write its store into a new file.
pub(crate) async fn run(socket: PathBuf, file: &Path) -> Result<Exit> {
    // The daemon works elsewhere: it is told the whole path.
    let path = std::path::absolute(file)
        .with_context(|| format!("could not tell where {} is", file.display()))?;
    let Some(path) = path.to_str() else {
        return Err(UsageError(format!("{} is not text", file.display())).into());
    };
    match ask(socket, Request::Backup(path.to_owned())).await? {
        Reply::Backup(report) => print(&format!(
            "{}: {}, {}\n",
            printable(&report.path),
            counted(report.judgments, "judgment"),
            bytes(report.bytes)
        )),
        other => Err(unexpected(other).into()),
    }
}
