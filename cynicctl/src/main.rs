//! The program `cynicctl`. Owns nothing: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    cynicctl::run(std::env::args_os())
}
