//! `hello`: the program of the image that is embedded in Conex. It tells what a container is made of, as seen from
//! inside: for a newcomer a page to learn from, for an engineer one to debug with, for programs JSON.
//!
//! It only reads, mostly in /proc, has no dependencies, and prints what it cannot find out as unknown. It never fails
//! for a missing file: a container may hide any of them.

mod cgroup;
mod filesystem;
mod identity;
mod json;
mod namespaces;
mod network;
mod page;
mod root;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use cgroup::Cgroup;
use filesystem::Filesystem;
use identity::Identity;
use namespaces::Namespace;
use network::Interface;
use root::Root;

/// All that is told.
struct Report {
    identity: Identity,
    hostname: Option<String>,
    kernel: Option<String>,
    namespaces: Vec<Namespace>,
    cgroup: Cgroup,
    filesystem: Filesystem,
    interfaces: Vec<Interface>,
}

impl Report {
    fn gather(root: &Root) -> Self {
        Self {
            identity: Identity::gather(root),
            hostname: root.line("proc/sys/kernel/hostname"),
            kernel: root.line("proc/sys/kernel/osrelease"),
            namespaces: namespaces::gather(root),
            cgroup: Cgroup::gather(root),
            filesystem: Filesystem::gather(root),
            interfaces: network::gather(root),
        }
    }
}

const HELP: &str = "\
Tells what this container is made of: its process, namespaces, cgroup and
limits, rights, root filesystem and network, as seen from inside.

Usage: hello [--json]

Options:
  --json       print the same as JSON, for programs
  -h, --help   print this help
  --version    print the version
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Page,
    Json,
    Help,
    Version,
}

/// The error is the one line to print.
fn parse(arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<Wanted, String> {
    let mut wanted = Wanted::Page;
    for argument in arguments {
        wanted = match argument.to_str() {
            Some("--json") => Wanted::Json,
            Some("-h" | "--help") => return Ok(Wanted::Help),
            Some("--version") => return Ok(Wanted::Version),
            _ => return Err(format!("unknown argument {argument:?}; see hello --help")),
        };
    }
    Ok(wanted)
}

fn main() -> ExitCode {
    let wanted = match parse(std::env::args_os().skip(1)) {
        Ok(wanted) => wanted,
        Err(why) => {
            eprintln!("hello: {why}");
            return ExitCode::from(2);
        }
    };
    let text = match wanted {
        Wanted::Help => HELP.to_owned(),
        Wanted::Version => concat!("hello ", env!("CARGO_PKG_VERSION"), "\n").to_owned(),
        Wanted::Json => json::render(&Report::gather(&Root::real())),
        Wanted::Page => {
            let is_coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            page::render(&Report::gather(&Root::real()), is_coloured)
        }
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hello: cannot write to standard output: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests;
