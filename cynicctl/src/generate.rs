//! Completion scripts and manual pages, made from the command line's own description.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::Cli;
use crate::exit::Exit;

/// Writes a completion script to standard output.
pub(crate) fn completions(shell: Shell) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cynicctl", &mut script);
    print(&script)
}

/// Writes the manual page to standard output, or a page for each command into a directory.
pub(crate) fn man(dir: Option<&Path>) -> Result<Exit> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        Man::new(Cli::command()).render(&mut page).context("could not write the page")?;
        return print(&page);
    };
    fs::create_dir_all(dir).with_context(|| format!("could not make {}", dir.display()))?;
    clap_mangen::generate_to(Cli::command(), dir)
        .with_context(|| format!("could not write the pages into {}", dir.display()))?;
    Ok(Exit::Success)
}

fn print(bytes: &[u8]) -> Result<Exit> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).context("could not write the output")?;
    Ok(Exit::Success)
}
