//! The command line of CYNIC: arguments are resolved at the edge, each command has its module, and every
//! text that comes from elsewhere is made printable before it is shown.
//!
//! Talks to the daemon only through `cynic-proto`'s client. Never opens a database and never judges.

pub mod args;
mod backup;
pub mod bench;
mod daemon;
mod dead_letters;
mod doctor;
mod evaluate;
pub mod events;
pub mod exit;
mod export;
mod feedback;
pub mod flight;
mod generate;
pub mod history;
mod html;
pub mod input;
mod interrupt;
pub mod judge;
mod ping;
mod quarantine;
pub mod text;
mod top;
mod unfinished;
pub mod view;

use std::ffi::OsString;
use std::num::NonZeroU16;
use std::process::ExitCode;

use anstream::eprintln;
use clap::Parser as _;
use cynic_proto::message::Request;

use args::{Cli, Command};
use exit::Exit;
use view::style;

/// Runs the program with these arguments.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(help_or_error) => {
            // Nothing can be done about a terminal that is gone.
            let _ = help_or_error.print();
            return if help_or_error.use_stderr() { Exit::Usage } else { Exit::Success }.into();
        }
    };
    choose_colors(cli.color);
    match perform(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            let exit = Exit::of(&failure);
            if exit != Exit::OutputClosed {
                report(&failure);
            }
            exit.into()
        }
    }
}

fn choose_colors(choice: clap::ColorChoice) {
    match choice {
        clap::ColorChoice::Auto => anstream::ColorChoice::Auto,
        clap::ColorChoice::Always => anstream::ColorChoice::Always,
        clap::ColorChoice::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

fn perform(cli: Cli) -> anyhow::Result<Exit> {
    let socket = cli.socket.unwrap_or_else(cynic_proto::socket::for_client);
    let command = match cli.command {
        Command::Completions { shell } => return generate::completions(shell),
        Command::Man { dir } => return generate::man(dir.as_deref()),
        command => command,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = runtime.block_on(async {
        match command {
            Command::Judge(args) => judge::run(socket, judge::Plan::resolve(*args)?).await,
            Command::Eval(args) => evaluate::run(socket, args).await,
            Command::Ping(args) if args.ready => ping::ready(socket).await,
            Command::Ping(args) => ping::ping(socket, args.deep).await,
            Command::Bench(args) => bench::run(socket, *args).await,
            Command::Top => top::run(socket).await,
            Command::Doctor(args) => doctor::run(socket, args.json).await,
            Command::Reload => daemon::tell(socket, Request::Reload).await,
            Command::Scale { size } => {
                daemon::tell(socket, Request::Scale(size.0.map(NonZeroU16::get))).await
            }
            // Rolling or not: there is no other way, and the word is what operators type.
            Command::RestartWorkers { rolling: _ } => {
                daemon::tell(socket, Request::RestartWorkers).await
            }
            Command::KillWorker { slot } => daemon::tell(socket, Request::KillWorker(slot)).await,
            Command::LogLevel { filter } => daemon::tell(socket, Request::LogLevel(filter)).await,
            Command::Stats(args) => daemon::stats(socket, &args).await,
            Command::Events(args) => events::run(socket, args).await,
            Command::History(args) => history::run(socket, &args).await,
            Command::Show(args) => history::show(socket, &args).await,
            Command::Export(args) => export::run(socket, &args).await,
            Command::Feedback(args) => feedback::give(socket, args).await,
            Command::Calibrate(args) => feedback::calibrate(socket, &args).await,
            Command::Backup(args) => backup::run(socket, &args.file).await,
            Command::Quarantine(command) => quarantine::run(socket, command).await,
            Command::Replay(args) => quarantine::replay(socket, args).await,
            Command::DeadLetters(command) => dead_letters::run(socket, command).await,
            Command::Drain => daemon::drain(socket).await,
            Command::Resume => daemon::resume(socket).await,
            Command::Completions { .. } | Command::Man { .. } => Ok(Exit::Success),
        }
    });
    // A thread may sit in a read of standard input: nobody waits for it.
    runtime.shutdown_background();
    exit
}

/// The failure and its causes, for people.
fn report(failure: &anyhow::Error) {
    let mut message = failure.to_string();
    for cause in failure.chain().skip(1) {
        let cause = cause.to_string();
        if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    eprintln!("{} {}", style::paint(style::BAD.bold(), "error:"), text::printable(&message));
}
