//! What a verb is: a name, a definition of its flags, and a function.

use std::ffi::OsString;

use clap::{Arg, Command};

use super::{Context, Given, args};
use crate::errors::Error;

/// How many arguments a verb takes, in Docker's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arity {
    /// "accepts no arguments"
    None,
    /// "requires exactly …"
    Exactly(usize),
    /// "requires at least …"
    AtLeast(usize),
    /// "requires at least 1 …", or a flag that stands for containers
    Containers,
    /// "requires at most …"
    AtMost(usize),
    /// "requires at least … and at most …"
    Between(usize, usize),
}

/// One verb of the command line.
pub(crate) struct Verb {
    /// As typed: `run`.
    pub(crate) name: &'static str,
    /// Other names.
    pub(crate) aliases: &'static [&'static str],
    /// One line, without a full stop.
    pub(crate) about: &'static str,
    /// What follows the flags: `IMAGE [COMMAND] [ARG...]`.
    pub(crate) usage: &'static str,
    /// How many of that there must be.
    pub(crate) arity: Arity,
    /// Whole lines for the end of the help.
    pub(crate) examples: &'static str,
    /// Docker's flags that are not there yet: `--publish`, `-p`.
    pub(crate) unsupported: &'static [&'static str],
    /// The exit code of an error that is not in the flags: 125 for `run` and `create`, else 1.
    pub(crate) failure: u8,
    /// Adds flags and arguments.
    pub(crate) define: fn(Command) -> Command,
    /// Does it; gives the exit code.
    pub(crate) run: fn(&Context, &Given<'_>) -> Result<u8, Error>,
}

impl Verb {
    /// The definition to parse with.
    pub(crate) fn command(&self) -> Command {
        args::prepare((self.define)(Command::new(self.name)))
    }

    /// The definition of the flags that `words` may mean, and no others: clap builds each flag at every start, and
    /// `run` has a hundred. What this refuses is parsed again with [`Verb::command`], which knows what to suggest.
    pub(crate) fn command_for(&self, words: &[OsString]) -> Command {
        let all = (self.define)(Command::new(self.name));
        let meant: Vec<&str> = words.iter().filter_map(|word| word.to_str()?.strip_prefix('-')).collect();
        let named = |long: &str| {
            meant
                .iter()
                .any(|word| word.strip_prefix('-').is_some_and(|word| word.split('=').next() == Some(long)))
        };
        let bundled = |short: char| meant.iter().any(|word| !word.starts_with('-') && word.contains(short));
        let needed = |arg: &&Arg| {
            arg.is_positional()
                || arg.get_long().is_some_and(named)
                || arg.get_all_aliases().is_some_and(|aliases| aliases.into_iter().any(named))
                || arg.get_short().is_some_and(bundled)
        };
        let some = Command::new(self.name).args(all.get_arguments().filter(needed).cloned());
        args::prepare(some)
    }

    /// The definition with its texts, for completion and man pages.
    pub(crate) fn documented(&self) -> Command {
        let command = self.command().about(self.about).visible_aliases(self.aliases.iter().copied());
        if self.examples.is_empty() {
            command
        } else {
            command.after_help(format!("Examples:\n{}", self.examples))
        }
    }
}

/// `conex container …`: the same verbs under the thing that they work on.
pub(crate) struct Noun {
    /// As typed: `container`.
    pub(crate) name: &'static str,
    /// One line.
    pub(crate) about: &'static str,
    /// By the name that they have here.
    pub(crate) verbs: &'static [(&'static str, &'static Verb)],
}

impl Noun {
    /// The verb of that name, or of its name without the noun.
    pub(crate) fn find(&self, name: &str) -> Option<&'static Verb> {
        // Docker's longer words.
        let name = match name {
            "list" => "ls",
            "remove" => "rm",
            name => name,
        };
        let here = self.verbs.iter().find(|(here, _)| *here == name);
        here.or_else(|| self.verbs.iter().find(|(_, verb)| verb.name == name || verb.aliases.contains(&name)))
            .map(|(_, verb)| *verb)
    }
}
