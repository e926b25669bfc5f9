//! The command line as runc takes it: global flags, a verb, the verb's flags and words.
//!
//! Each verb's flags are a struct written with [`arguments!`](crate::flags); what the words mean, by Go's rules, is found in
//! [`crate::flags`].

use std::ffi::OsString;
use std::path::PathBuf;

use crate::commands;
use crate::error::Error;
use crate::flags::{Arguments, Given, Stop, arguments};

const NAME: &str = "conex-runtime";

arguments! {
    /// Flags before the verb.
    pub(crate) struct Global {
        /// Enable debug logging
        pub(crate) debug: bool = "--debug";
        /// The file to write the log to, instead of standard error
        pub(crate) log: Option<PathBuf> = "--log FILE";
        /// The log's format: text or json
        pub(crate) log_format: String = "--log-format FORMAT (text)";
        /// Where the state of containers is kept, best on a tmpfs [default: /run/conex-runtime, or $XDG_RUNTIME_DIR/conex-runtime]
        pub(crate) root: Option<PathBuf> = "--root DIRECTORY";
        /// Let systemd make the cgroups; cgroupsPath is then SLICE:PREFIX:NAME
        pub(crate) systemd_cgroup: bool = "--systemd-cgroup";
        /// Ignore missing rights to cgroups: true, false or auto
        pub(crate) rootless: String = "--rootless WHEN (auto)";
        /// The criu program
        pub(crate) criu: Option<PathBuf> = "--criu PROGRAM";
        /// Show the version
        version: bool = "-v --version";
    }
}

/// What the command line asks for.
pub(crate) enum Asked {
    /// Help or the version.
    Print(String),
    /// It makes no sense.
    Wrong(String),
    /// A verb.
    Run { global: Global, verb: String, rest: Vec<String> },
}

/// Reads everything up to the verb.
pub(crate) fn global(words: Vec<OsString>) -> Asked {
    let mut text = Vec::with_capacity(words.len());
    for word in words.into_iter().skip(1) {
        match word.into_string() {
            Ok(word) => text.push(word),
            Err(word) => return Asked::Wrong(format!("not UTF-8: {word:?}")),
        }
    }
    let mut global = match read::<Global>(text, true) {
        Ok(global) => global,
        Err(Stop::Help) => return Asked::Print(help()),
        Err(Stop::Wrong(message)) => return Asked::Wrong(message),
    };
    if global.version {
        return Asked::Print(version());
    }
    let mut words = std::mem::take(&mut global.words).into_iter();
    match words.next() {
        None => Asked::Print(help()),
        Some(verb) if verb == "help" || verb == "h" => match words.next() {
            None => Asked::Print(help()),
            Some(verb) => commands::help(&verb)
                .map_or_else(|| Asked::Wrong(format!("No help topic for '{verb}'")), Asked::Print),
        },
        Some(verb) => Asked::Run { verb, rest: words.collect(), global },
    }
}

/// Reads a verb's own words. Its help is printed here, and ends the process.
pub(crate) fn verb<A: Arguments>(
    name: &str,
    words: Vec<String>,
    first_word_ends_flags: bool,
) -> Result<A, Error> {
    match read(words, first_word_ends_flags) {
        Ok(arguments) => Ok(arguments),
        Err(Stop::Wrong(message)) => Err(Error::Refused(message)),
        Err(Stop::Help) => {
            crate::print(&commands::help(name).unwrap_or_default());
            std::process::exit(0)
        }
    }
}

fn read<A: Arguments>(words: Vec<String>, first_word_ends_flags: bool) -> Result<A, Stop> {
    let mut flags = Vec::new();
    A::flags(&mut flags);
    A::take(&mut Given::read(&flags, words, first_word_ends_flags)?).map_err(Stop::Wrong)
}

/// A verb's help: what it is about, how it is called, its flags.
pub(crate) fn describe<A: Arguments>(usage: &str, about: &str) -> String {
    let mut flags = Vec::new();
    A::flags(&mut flags);
    crate::flags::help(usage, about, &flags)
}

fn help() -> String {
    let about = "Run containers from OCI bundles, with the command line of runc";
    format!(
        "{}\n\
         Commands:\n{}\n\
         Examples:\n  \
         conex-runtime spec                            a config.json to begin with\n  \
         conex-runtime run -b /path/to/bundle web      create, start, wait, delete\n  \
         conex-runtime create -b /path/to/bundle web   create, to start later\n  \
         conex-runtime exec -t web sh                  another process in it\n\n\
         'conex-runtime COMMAND --help' tells of one command.\n",
        describe::<Global>("conex-runtime [OPTIONS] COMMAND [ARGUMENTS]", about),
        commands::list()
    )
}

/// In the shape that callers look for `spec:` in.
fn version() -> String {
    format!("{NAME} version {}\nspec: {}\n", env!("CARGO_PKG_VERSION"), conex_oci::runtime::SPEC_VERSION)
}
