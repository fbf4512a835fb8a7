//! The daemon's program: arguments, log, exit code.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use cynicd::config::{Config, ConfigError, Overrides, Source};
use cynicd::gateway::SocketFile;
use cynicd::journal;
use cynicd::service::{self, ServiceError};
use rustix::fs::{Access, AtFlags, CWD};

/// Entries are made by one thread and freed by another, which the system's allocator does by slow ways.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The CYNIC judgment daemon: judges untrusted items in isolated worker processes.
///
/// Without a configuration it runs with sound defaults. Judge with `cynicctl judge`, watch with
/// `cynicctl stats`. SIGTERM and SIGINT finish what was accepted; a second one stops at once. SIGHUP reads the
/// configuration again, as `cynicctl reload` does.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 stopped in order, 1 failed, 2 wrong arguments or configuration."
)]
struct Args {
    /// Configuration file (TOML; default: `$CONFIGURATION_DIRECTORY/cynic.toml` where that is)
    #[arg(long, env = "CYNIC_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Socket to listen at (default: `/run/cynic/cynicd.sock` where that directory exists, else
    /// `$XDG_RUNTIME_DIR/cynic/cynicd.sock`)
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Directory of the embedded database and the spool (default: `/var/lib/cynic` where it exists, else
    /// `~/.local/share/cynic`)
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Check the configuration and whether the data directory can be written, print what would be used, and exit
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let overrides = Overrides { socket: args.socket, data_dir: args.data_dir };
    let source = Source::new(args.config, overrides);
    let config = match source.load() {
        Ok(config) => config,
        Err(error) => return refuse(&error),
    };
    if args.check {
        return check(&config);
    }
    // Dropped last: the last lines are written then.
    let (log, _writer) = journal::start(config.log_format, &config.log_level);
    match service::run(source, &config, log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn refuse(error: &ConfigError) -> ExitCode {
    print_chain(error);
    ExitCode::from(2)
}

fn fail(error: &ServiceError) -> ExitCode {
    print_chain(error);
    ExitCode::FAILURE
}

#[expect(clippy::print_stderr, reason = "the program's own error, before or after its log")]
fn print_chain(error: &dyn std::error::Error) {
    eprintln!("cynicd: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  caused by: {cause}");
        source = cause.source();
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the output that --check promises")]
fn check(config: &Config) -> ExitCode {
    let database = match &config.database {
        Some(_) => "PostgreSQL".to_owned(),
        None => config.data_dir.join("cynic.db").display().to_string(),
    };
    println!("configuration is valid");
    println!("  socket    {}", socket(&config.socket));
    println!("  admins    {}", socket(&config.admin_socket));
    println!("  data      {}", config.data_dir.display());
    println!("  database  {database}");
    println!("  worker    {}", config.worker.display());
    println!("  workers   {}, sandbox {}", config.pool.size, config.sandbox.name());
    match writable(&config.data_dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("cynicd: {why}");
            ExitCode::from(2)
        }
    }
}

/// Whether this user could keep data there.
fn writable(data_dir: &Path) -> Result<(), String> {
    let path = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    let uid = rustix::process::geteuid().as_raw();
    // The first that is there of the directory and those above it.
    let Some((there, meta)) = path.ancestors().find_map(|dir| Some((dir, dir.metadata().ok()?)))
    else {
        return Ok(());
    };
    let name = data_dir.display();
    if !meta.is_dir() {
        return Err(format!("data_dir {name}: {} is not a directory", there.display()));
    }
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    match rustix::fs::accessat(CWD, there, wanted, AtFlags::EACCESS) {
        Ok(()) => Ok(()),
        Err(error) if there == path => Err(format!(
            "data_dir {name} cannot be written by user {uid}, who runs this check: {error}; run it as the \
             daemon's user (`sudo -u cynic cynicd --check`), or give the directory to that user"
        )),
        Err(error) => Err(format!(
            "data_dir {name} is not there, and user {uid}, who runs this check, cannot make it in {}: {error}; \
             make it and give it to the daemon's user",
            there.display()
        )),
    }
}

fn socket(file: &SocketFile) -> String {
    let group = file.gid.map(|gid| format!(", group {gid}")).unwrap_or_default();
    format!("{} (mode {:04o}{group})", file.path.display(), file.mode)
}
