//! From words to a verb: global flags, the verb's own flags, and the exit code at the end.
//!
//! Only the definition of the verb that was asked for is built: `run` alone has a hundred flags, and a start-up
//! that builds all of them is felt in every container's start. Help, completion and man pages build the whole tree.

pub(crate) mod args;
mod context;
mod help;
pub(crate) mod usage;
mod verb;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Command;

pub(crate) use args::Given;
pub(crate) use context::Context;
pub(crate) use verb::{Arity, Noun, Verb};

use crate::commands::{NOUNS, VERBS};
use crate::errors::Error;

/// Name and version, as `--version` prints them.
pub(crate) const VERSION: &str = concat!("Conex version ", env!("CARGO_PKG_VERSION"));

/// The whole program.
pub(crate) fn run(words: Vec<OsString>) -> ExitCode {
    let words = words.get(1..).unwrap_or_default();
    match dispatch(words) {
        Ok(code) => ExitCode::from(code),
        Err((error, verb)) => ExitCode::from(error.report(verb)),
    }
}

/// An error, and the verb that knows its exit code.
type Failed = (Box<Error>, Option<&'static Verb>);

fn dispatch(words: &[OsString]) -> Result<u8, Failed> {
    let plain = |error: Error| (Box::new(error), None);
    let (context, words) = globals(words).map_err(plain)?;
    let Some(context) = context else { return Ok(0) };
    let Some((first, rest)) = words.split_first() else {
        return crate::output::text(&help::root()).map(|()| 0).map_err(plain);
    };
    let name = first.to_string_lossy();
    if name == "help" {
        return help_of(rest).map(|()| 0).map_err(plain);
    }
    if let Some(noun) = NOUNS.iter().find(|noun| noun.name == name) {
        let Some((second, rest)) = rest.split_first() else {
            return crate::output::text(&help::noun(noun)).map(|()| 0).map_err(plain);
        };
        let second = second.to_string_lossy();
        if matches!(&*second, "--help" | "-h") {
            return crate::output::text(&help::noun(noun)).map(|()| 0).map_err(plain);
        }
        let verb = noun.find(&second).ok_or_else(|| plain(usage::unknown_verb(Some(noun), &second)))?;
        return perform(&context, verb, &format!("conex {name} {second}"), rest);
    }
    let verb = find(&name).ok_or_else(|| plain(usage::unknown_verb(None, &name)))?;
    perform(&context, verb, &format!("conex {name}"), rest)
}

/// The verb of a command line (with the program's name first), and the words after it; `None` when there is none.
pub(crate) fn verb_of(line: &[String]) -> Option<(&'static Verb, Vec<OsString>)> {
    let words: Vec<OsString> = line.iter().skip(1).map(OsString::from).collect();
    let matches = root().try_get_matches_from(&words).ok()?;
    let taken = Given::new(&matches).count("words");
    let (first, rest) = words[words.len() - taken..].split_first()?;
    let name = first.to_str()?;
    match NOUNS.iter().find(|noun| noun.name == name) {
        Some(noun) => {
            let (second, rest) = rest.split_first()?;
            Some((noun.find(second.to_str()?)?, rest.to_vec()))
        }
        None => Some((find(name)?, rest.to_vec())),
    }
}

/// The verb of that name or alias.
fn find(name: &str) -> Option<&'static Verb> {
    VERBS.iter().copied().find(|verb| verb.name == name || verb.aliases.contains(&name))
}

fn perform(context: &Context, verb: &'static Verb, path: &str, words: &[OsString]) -> Result<u8, Failed> {
    let failed = |error| (Box::new(error), Some(verb));
    let quick = verb.command_for(words).no_binary_name(true).try_get_matches_from_mut(words);
    let matches = match quick.or_else(|_| verb.command().no_binary_name(true).try_get_matches_from_mut(words))
    {
        Ok(matches) => matches,
        Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => {
            let text = help::verb(verb, path, &verb.command());
            return crate::output::text(&text).map(|()| 0).map_err(failed);
        }
        Err(error) => return Err(failed(usage::explain(verb, path, &verb.command(), &error))),
    };
    let given = Given::new(&matches);
    if verb.arity == Arity::Containers && !names_containers(given) {
        return Err(failed(usage::names_none(verb, path)));
    }
    (verb.run)(context, &given).map_err(failed)
}

/// Whether containers are named, or meant by a flag.
fn names_containers(given: Given<'_>) -> bool {
    let counted = ["container", "cidfile", "filter"].into_iter().any(|name| given.count(name) > 0);
    counted || given.on("all") || given.on("running")
}

/// Takes the flags before the verb. Without a context, what was asked for has been done.
fn globals(words: &[OsString]) -> Result<(Option<Context>, &[OsString]), Error> {
    if words.first().is_none_or(|word| !word.as_encoded_bytes().starts_with(b"-")) {
        return Ok((Some(Context::new(&Given::none())?), words));
    }
    let command = root();
    let matches = match command.clone().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => {
            crate::output::text(&help::root())?;
            return Ok((None, &[]));
        }
        Err(error) => return Err(usage::explain_root(&command, &error)),
    };
    let given = Given::new(&matches);
    if given.on("version") {
        crate::output::line(VERSION)?;
        return Ok((None, &[]));
    }
    let taken = given.count("words");
    Ok((Some(Context::new(&given)?), &words[words.len() - taken..]))
}

/// The flags that stand before the verb.
fn root() -> Command {
    args::prepare(
        Command::new("conex").no_binary_name(true).args([
            args::value("root", "path")
                .help("Where images and containers are kept [CONEX_ROOT, /var/lib/conex]"),
            args::value("run-root", "path")
                .help("Where the state of running containers is kept [CONEX_RUN_ROOT, /run/conex]"),
            args::flag("debug").short('D').help("Say more on standard error [CONEX_LOG=debug]"),
            args::value("log-level", "level")
                .short('l')
                .help("Say this much on standard error: error, warn, info, debug, trace"),
            args::flag("version").short('v').help("Print the version and quit"),
            args::words("words", "COMMAND").required(false).value_parser(clap::value_parser!(OsString)),
        ]),
    )
}

/// `conex help [NOUN] [VERB]`
fn help_of(words: &[OsString]) -> Result<(), Error> {
    let Some((first, rest)) = words.split_first() else { return crate::output::text(&help::root()) };
    let first = first.to_string_lossy();
    let noun = NOUNS.iter().find(|noun| noun.name == first);
    let (verb, path) = match (noun, rest.first()) {
        (Some(noun), None) => return crate::output::text(&help::noun(noun)),
        (Some(noun), Some(second)) => {
            let second = second.to_string_lossy();
            let verb = noun.find(&second).ok_or_else(|| usage::unknown_verb(Some(noun), &second))?;
            (verb, format!("conex {first} {second}"))
        }
        (None, _) => {
            (find(&first).ok_or_else(|| usage::unknown_verb(None, &first))?, format!("conex {first}"))
        }
    };
    crate::output::text(&help::verb(verb, &path, &verb.command()))
}

/// Everything in one tree, for completion and man pages.
pub(crate) fn tree() -> Command {
    let mut tree = root()
        .no_binary_name(false)
        .mut_arg("words", |arg| arg.hide(true))
        .about("Run and manage containers, without a daemon")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true)
        .disable_help_subcommand(true);
    for verb in VERBS {
        tree = tree.subcommand(verb.documented());
    }
    for noun in NOUNS {
        let mut branch =
            args::prepare(Command::new(noun.name).about(noun.about)).disable_help_subcommand(true);
        for (name, verb) in noun.verbs {
            branch = branch.subcommand(verb.documented().name(*name));
        }
        tree = tree.subcommand(branch);
    }
    tree
}

#[cfg(test)]
mod tests;
