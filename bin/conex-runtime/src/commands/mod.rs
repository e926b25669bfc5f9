//! The verbs, one file each.

mod create;
mod delete;
mod events;
mod exec;
mod features;
mod kill;
mod list;
mod pause;
mod ps;
mod resume;
mod run;
mod spec;
mod start;
mod state;
mod update;

use clap::{Args, Command, FromArgMatches};

use crate::arguments;
use crate::context::Context;
use crate::error::Error;

/// A verb as the table has it.
struct Verb {
    name: &'static str,
    about: &'static str,
    /// In runc's words, for the error when it is not so.
    expects: &'static str,
    augment: fn(Command) -> Command,
    run: fn(&Self, Vec<String>, &Context) -> Result<i32, Error>,
}

/// A verb's arguments, and what they do.
trait Act: Args + FromArgMatches {
    /// Whether the words from the container's name on are somebody else's.
    const FIRST_WORD_ENDS_FLAGS: bool = false;

    /// Gives the exit status.
    fn act(self, context: &Context) -> Result<i32, Error>;
}

const fn verb<A: Act>(name: &'static str, about: &'static str, expects: &'static str) -> Verb {
    fn run<A: Act>(verb: &Verb, words: Vec<String>, context: &Context) -> Result<i32, Error> {
        arguments::verb::<A>(Command::new(verb.name), words, A::FIRST_WORD_ENDS_FLAGS)?.act(context)
    }
    Verb { name, about, expects, augment: A::augment_args, run: run::<A> }
}

const NONE: &str = "exactly 0 argument(s)";
const ONE: &str = "exactly 1 argument(s)";
const SOME: &str = "a minimum of 1 argument(s)";

const VERBS: &[Verb] = &[
    verb::<create::Arguments>("create", "Make a container, to be started later", ONE),
    verb::<delete::Arguments>("delete", "Remove a container", ONE),
    verb::<events::Arguments>(
        "events",
        "Print what a container uses, again and again, and when it is out of memory",
        ONE,
    ),
    verb::<exec::Arguments>("exec", "Run another process in a container", SOME),
    verb::<features::Arguments>("features", "Print what this runtime can do", NONE),
    verb::<kill::Arguments>("kill", "Send a signal to a container's first process", SOME),
    verb::<list::Arguments>("list", "List containers", NONE),
    verb::<pause::Arguments>("pause", "Freeze a container's processes", ONE),
    verb::<ps::Arguments>("ps", "List a container's processes", SOME),
    verb::<resume::Arguments>("resume", "Let a container's frozen processes go on", ONE),
    verb::<run::Arguments>("run", "Make a container, start it, wait for its end and remove it", ONE),
    verb::<spec::Arguments>("spec", "Write a config.json to begin with", NONE),
    verb::<start::Arguments>("start", "Start a container that was made", ONE),
    verb::<state::Arguments>("state", "Print the state of a container", ONE),
    verb::<update::Arguments>("update", "Change the limits of a container that runs", ONE),
];

fn find(name: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.name == name)
}

/// Does what the verb says.
pub(crate) fn run(name: &str, words: Vec<String>, context: &Context) -> Result<i32, Error> {
    match find(name) {
        Some(verb) => (verb.run)(verb, words, context),
        None => Err(Error::Refused(format!("No help topic for '{name}'"))),
    }
}

/// How many words a verb takes.
pub(crate) fn expects(name: &str) -> &'static str {
    find(name).map_or(SOME, |verb| verb.expects)
}

/// One verb's help.
pub(crate) fn help(name: &str) -> Option<String> {
    let verb = find(name)?;
    let mut command = (verb.augment)(Command::new(verb.name).bin_name(format!("conex-runtime {name}")))
        .about(verb.about)
        .disable_version_flag(true);
    Some(command.render_long_help().to_string())
}

/// All verbs, a line each.
pub(crate) fn list() -> String {
    VERBS.iter().map(|verb| format!("  {:<11} {}\n", verb.name, verb.about)).collect()
}
