//! `cynicctl feedback` and `calibrate`: what turned out to be true, and what is learnt from it.
//!
//! Owns the asking; tables are [`crate::view::calibration`]'s.

use std::path::PathBuf;

use anyhow::Result;
use cynic_proto::calibration::{CalibrationReport, CalibrationRequest};
use cynic_proto::client::unexpected;
use cynic_proto::history::NOTE_BYTES_MAX;
use cynic_proto::message::{Reply, Request};

use crate::args::{CalibrateArgs, FeedbackArgs};
use crate::daemon::{ask, print};
use crate::exit::{Exit, UsageError};
use crate::view::calibration as view;
use crate::view::json;
use crate::view::style::columns;

/// Says what turned out to be true of a judgment.
pub(crate) async fn give(socket: PathBuf, args: FeedbackArgs) -> Result<Exit> {
    if args.note.as_ref().is_some_and(|note| note.len() > NOTE_BYTES_MAX) {
        let message = format!("the note is longer than {NOTE_BYTES_MAX} bytes");
        return Err(UsageError(message).into());
    }
    let FeedbackArgs { task, truth, note } = args;
    let request = Request::Feedback { task, truth, note };
    match ask(socket, request).await? {
        Reply::Feedback(_) => print(&format!("noted: {} was {}\n", task, truth.name())),
        other => Err(unexpected(other).into()),
    }
}

/// Shows, fits or changes the calibration.
pub(crate) async fn calibrate(socket: PathBuf, args: &CalibrateArgs) -> Result<Exit> {
    let request = match args.revert {
        Some(Some(version)) => CalibrationRequest::Use(version),
        Some(None) => CalibrationRequest::Revert,
        None if args.apply => CalibrationRequest::Fit,
        None if args.dry_run => CalibrationRequest::DryRun,
        None => CalibrationRequest::Show,
    };
    let report = report(socket, request).await?;
    if args.json {
        return print(&json::line(&report)?);
    }
    print(&view::text(request, &report, columns()))
}

async fn report(socket: PathBuf, request: CalibrationRequest) -> Result<CalibrationReport> {
    match ask(socket, Request::Calibrate(request)).await? {
        Reply::Calibration(report) => Ok(*report),
        other => Err(unexpected(other).into()),
    }
}
