//! The command line of Conex. This file only decides which life the process leads.

mod builtin;
mod cli;
mod commands;
mod config;
#[cfg(test)]
mod docker;
#[cfg(test)]
mod documents;
mod errors;
mod flags;
mod format;
mod images;
mod output;
mod progress;
mod terminal;
mod ui;

use std::process::ExitCode;

fn main() -> ExitCode {
    // A hidden role (a re-entered binary) is taken here, before anything of the command line is built.
    cli::run(std::env::args_os().collect())
}
