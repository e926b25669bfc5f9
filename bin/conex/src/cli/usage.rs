//! What is wrong with a command line, in one line, with the near name for a mistyped one.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use conex_engine::options::nearest;

use super::{Arity, Noun, Verb};
use crate::commands::{NOUNS, VERBS};
use crate::errors::Error;

/// Docker's verbs that are still to come; not typing errors.
const NOT_YET: [&str; 13] = [
    "build",
    "builder",
    "buildx",
    "checkpoint",
    "compose",
    "cp",
    "events",
    "network",
    "plugin",
    "port",
    "search",
    "swarm",
    "volume",
];

/// A verb that does not exist.
pub(crate) fn unknown_verb(noun: Option<&Noun>, name: &str) -> Error {
    if noun.is_none() && NOT_YET.contains(&name) {
        return Error::Command(format!("'conex {name}' is not supported yet; see 'conex --help'"));
    }
    let (path, near) = match noun {
        Some(noun) => {
            (format!("conex {}", noun.name), nearest(name, noun.verbs.iter().map(|(name, _)| *name)))
        }
        None => {
            let names = VERBS.iter().flat_map(|verb| verb.aliases.iter().copied().chain([verb.name]));
            ("conex".to_owned(), nearest(name, names.chain(NOUNS.iter().map(|noun| noun.name))))
        }
    };
    Error::Command(match near {
        Some(near) => format!("unknown command {name:?}; did you mean \"{near}\"? See '{path} --help'"),
        None => format!("unknown command {name:?}; see '{path} --help'"),
    })
}

/// A command line that does not fit a verb's definition.
pub(crate) fn explain(verb: &Verb, path: &str, command: &Command, error: &clap::Error) -> Error {
    let found = Found::of(error);
    match error.kind() {
        ErrorKind::UnknownArgument if found.argument.starts_with('-') => {
            let flag = found.argument.split('=').next().unwrap_or_default();
            if verb.unsupported.contains(&flag) {
                return Error::usage(format!("{flag} is not supported yet by '{path}'"));
            }
            Error::usage(unknown_flag(flag, path, command))
        }
        ErrorKind::UnknownArgument | ErrorKind::TooManyValues | ErrorKind::MissingRequiredArgument => {
            Error::Arguments(arity(verb, path))
        }
        _ => Error::usage(value(&found, command, error)),
    }
}

/// Containers are neither named nor meant by a flag.
pub(crate) fn names_none(verb: &Verb, path: &str) -> Error {
    Error::Arguments(arity(verb, path))
}

/// A command line whose flags before the verb do not fit.
pub(crate) fn explain_root(command: &Command, error: &clap::Error) -> Error {
    let found = Found::of(error);
    Error::usage(match error.kind() {
        ErrorKind::UnknownArgument => {
            let flag = found.argument.split('=').next().unwrap_or_default();
            if matches!(
                flag,
                "-H" | "--host"
                    | "-c"
                    | "--context"
                    | "--config"
                    | "--tls"
                    | "--tlscacert"
                    | "--tlscert"
                    | "--tlskey"
                    | "--tlsverify"
            ) {
                format!("{flag} is not supported: there is no daemon to talk to; --root chooses the store")
            } else {
                unknown_flag(flag, "conex", command)
            }
        }
        _ => value(&found, command, error),
    })
}

fn unknown_flag(flag: &str, path: &str, command: &Command) -> String {
    let Some(name) = flag.strip_prefix("--") else {
        return format!("unknown shorthand flag: {flag}; see '{path} --help'");
    };
    let known = command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(Arg::get_long);
    match nearest(name, known) {
        Some(near) => format!("unknown flag: {flag}; did you mean --{near}? See '{path} --help'"),
        None => format!("unknown flag: {flag}; see '{path} --help'"),
    }
}

/// What clap knows of an error.
#[derive(Debug, Default)]
struct Found {
    /// `--name` or `--name <string>`
    argument: String,
    value: String,
}

impl Found {
    fn of(error: &clap::Error) -> Self {
        let text = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => text.clone(),
            Some(ContextValue::Strings(texts)) => texts.join(" "),
            _ => String::new(),
        };
        Self { argument: text(ContextKind::InvalidArg), value: text(ContextKind::InvalidValue) }
    }
}

fn value(found: &Found, command: &Command, error: &clap::Error) -> String {
    let flag = found.argument.split([' ', '=', '[']).next().unwrap_or_default();
    let takes = command
        .get_arguments()
        .find(|arg| arg.get_long().is_some_and(|long| flag == format!("--{long}")))
        .and_then(|arg| arg.get_value_names()?.first().map(ToString::to_string));
    match error.kind() {
        ErrorKind::InvalidUtf8 => "an argument is not valid UTF-8".to_owned(),
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error).map(|why| format!(": {why}")).unwrap_or_default();
            format!("invalid argument {:?} for \"{flag}\" flag{why}", found.value)
        }
        ErrorKind::InvalidValue
        | ErrorKind::NoEquals
        | ErrorKind::TooFewValues
        | ErrorKind::WrongNumberOfValues => match takes {
            Some(kind) => format!("flag needs an argument: {flag} {kind}"),
            None => format!("flag needs an argument: {flag}"),
        },
        // Kinds that these definitions do not give rise to: clap's own first line.
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    }
}

fn arity(verb: &Verb, path: &str) -> String {
    let plural = |count: usize| if count == 1 { "argument" } else { "arguments" };
    let wants = match verb.arity {
        Arity::None => "accepts no arguments".to_owned(),
        Arity::Exactly(count) => format!("requires exactly {count} {}", plural(count)),
        Arity::AtLeast(count) => format!("requires at least {count} {}", plural(count)),
        Arity::Containers => "requires at least 1 argument".to_owned(),
        Arity::AtMost(count) => format!("accepts at most {count} {}", plural(count)),
        Arity::Between(least, most) => {
            format!("requires at least {least} and at most {most} {}", plural(most))
        }
    };
    let usage = format!("{path} [OPTIONS] {}", verb.usage);
    format!("\"{path}\" {wants}; usage: {}", usage.trim_end())
}
