//! The command line of CYNIC: arguments are resolved at the edge, each command has its module, and every
//! text that comes from elsewhere is made printable before it is shown.
//!
//! Talks to the daemon only through `cynic-proto`'s client. Never opens a database and never judges.

pub mod args;
mod daemon;
mod evaluate;
pub mod exit;
pub mod flight;
mod generate;
pub mod history;
pub mod input;
pub mod judge;
pub mod text;
pub mod view;

use std::ffi::OsString;
use std::process::ExitCode;

use anstream::eprintln;
use clap::Parser as _;

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
            Command::Ping(args) => daemon::ping(socket, args.deep).await,
            Command::Stats(args) => daemon::stats(socket, &args).await,
            Command::History(args) => history::run(socket, &args).await,
            Command::Show(args) => history::show(socket, &args).await,
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
