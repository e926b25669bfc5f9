//! The verbs, one file each.

mod checkpoint;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod kill;
mod list;
mod pause;
mod ps;
mod restore;
mod resume;
mod run;
mod spec;
mod start;
mod state;
mod update;

use crate::arguments;
use crate::context::Context;
use crate::error::Error;
use crate::flags::Arguments;

/// A verb as the table has it.
struct Verb {
    name: &'static str,
    about: &'static str,
    /// How many words it takes.
    words: Words,
    /// Of its usage and what it is about.
    help: fn(&str, &str) -> String,
    run: fn(&Self, Vec<String>, &Context) -> Result<i32, Error>,
}

/// A verb's arguments, and what they do.
trait Act: Arguments {
    /// Whether the words from the container's name on are somebody else's.
    const FIRST_WORD_ENDS_FLAGS: bool = false;

    /// Gives the exit status.
    fn act(self, context: &Context) -> Result<i32, Error>;
}

const fn verb<A: Act>(name: &'static str, about: &'static str, words: Words) -> Verb {
    fn run<A: Act>(verb: &Verb, words: Vec<String>, context: &Context) -> Result<i32, Error> {
        let arguments = arguments::verb::<A>(verb.name, words, A::FIRST_WORD_ENDS_FLAGS)?;
        let count = arguments.words().len();
        let (holds, wanted) = match verb.words {
            Words::Zero => (count == 0, "exactly 0 argument(s)"),
            Words::Id => (count == 1, "exactly 1 argument(s)"),
            Words::More(_) => (count >= 1, "a minimum of 1 argument(s)"),
        };
        if !holds {
            return Err(Error::Refused(format!("conex-runtime: {:?} requires {wanted}", verb.name)));
        }
        arguments.act(context)
    }
    Verb { name, about, words, help: arguments::describe::<A>, run: run::<A> }
}

/// Which words stand behind the flags.
#[derive(Debug, Clone, Copy)]
enum Words {
    Zero,
    /// A container's name.
    Id,
    /// At least that: how to write it.
    More(&'static str),
}

const VERBS: &[Verb] = &[
    verb::<checkpoint::Arguments>("checkpoint", "Write a container's processes to files", Words::Id),
    verb::<create::Arguments>("create", "Make a container, to be started later", Words::Id),
    verb::<delete::Arguments>("delete", "Remove a container", Words::Id),
    verb::<events::Arguments>(
        "events",
        "Print what a container uses, again and again, and when it is out of memory",
        Words::Id,
    ),
    verb::<exec::Arguments>(
        "exec",
        "Run another process in a container",
        Words::More(" ID COMMAND [ARGUMENT...]"),
    ),
    verb::<features::Arguments>("features", "Print what this runtime can do", Words::Zero),
    verb::<kill::Arguments>(
        "kill",
        "Send a signal to a container's first process",
        Words::More(" ID [SIGNAL]"),
    ),
    verb::<list::Arguments>("list", "List containers", Words::Zero),
    verb::<pause::Arguments>("pause", "Freeze a container's processes", Words::Id),
    verb::<ps::Arguments>("ps", "List a container's processes", Words::More(" ID [PS-OPTION...]")),
    verb::<restore::Arguments>("restore", "Make a container of a checkpoint", Words::Id),
    verb::<resume::Arguments>("resume", "Let a container's frozen processes go on", Words::Id),
    verb::<run::Arguments>("run", "Make a container, start it, wait for its end and remove it", Words::Id),
    verb::<spec::Arguments>("spec", "Write a config.json to begin with", Words::Zero),
    verb::<start::Arguments>("start", "Start a container that was made", Words::Id),
    verb::<state::Arguments>("state", "Print the state of a container", Words::Id),
    verb::<update::Arguments>("update", "Change the limits of a container that runs", Words::Id),
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

/// One verb's help.
pub(crate) fn help(name: &str) -> Option<String> {
    let verb = find(name)?;
    let words = match verb.words {
        Words::Zero => "",
        Words::Id => " ID",
        Words::More(words) => words,
    };
    Some((verb.help)(&format!("conex-runtime {name} [OPTIONS]{words}"), verb.about))
}

/// All verbs, a line each.
pub(crate) fn list() -> String {
    VERBS.iter().map(|verb| format!("  {:<11} {}\n", verb.name, verb.about)).collect()
}
