//! The command line as runc takes it: global flags, a verb, the verb's flags and words.
//!
//! clap does the work, for one verb at a time. runc's flags are Go's, which differ in three ways from everybody else's and
//! are rewritten first: one dash will do for a long name, a switch may have a value (`--detach=false`), and `exec`, `ps` and
//! `kill` stop looking for flags behind the container's name.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Args, Command, FromArgMatches};

use crate::commands;

const NAME: &str = "conex-runtime";

/// Flags before the verb.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Enable debug logging
    #[arg(long)]
    pub(crate) debug: bool,
    /// The file to write the log to, instead of standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// The log's format: text or json
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: String,
    /// Where the state of containers is kept, best on a tmpfs [default: /run/conex-runtime, or $XDG_RUNTIME_DIR/conex-runtime]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) root: Option<PathBuf>,
    /// Let systemd make the cgroups; cgroupsPath is then SLICE:PREFIX:NAME
    #[arg(long)]
    pub(crate) systemd_cgroup: bool,
    /// Ignore missing rights to cgroups: true, false or auto
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) rootless: String,
    /// The criu program
    #[arg(long, value_name = "PROGRAM", hide = true)]
    pub(crate) criu: Option<PathBuf>,
    /// Show the version
    #[arg(short = 'v', long)]
    version: bool,
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    words: Vec<String>,
}

/// What the command line asks for.
#[expect(clippy::large_enum_variant, reason = "there is one in a process's life")]
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
    let command = Global::augment_args(Command::new(NAME))
        .about("Run containers from OCI bundles, with the command line of runc")
        .override_usage("conex-runtime [OPTIONS] COMMAND [ARGUMENTS]");
    let global = match parse::<Global>(command, text, true) {
        Ok(global) => global,
        Err(Stop::Help) => return Asked::Print(help()),
        Err(Stop::Wrong(message)) => return Asked::Wrong(message),
    };
    if global.version {
        return Asked::Print(version());
    }
    let mut words = global.words.clone().into_iter();
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
pub(crate) fn verb<A: Args + FromArgMatches>(
    command: Command,
    words: Vec<String>,
    first_word_ends_flags: bool,
) -> Result<A, crate::error::Error> {
    let name = command.get_name().to_owned();
    match parse::<A>(A::augment_args(command), words, first_word_ends_flags) {
        Ok(arguments) => Ok(arguments),
        Err(Stop::Wrong(message)) => Err(crate::error::Error::Refused(message)),
        Err(Stop::Help) => {
            crate::print(&commands::help(&name).unwrap_or_default());
            std::process::exit(0)
        }
    }
}

enum Stop {
    Help,
    Wrong(String),
}

fn parse<A: FromArgMatches>(command: Command, mut words: Vec<String>, first: bool) -> Result<A, Stop> {
    rewrite(&command, &mut words, first)?;
    let name = command.get_name().to_owned();
    let mut command = command
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(Arg::new("help").short('h').long("help").action(ArgAction::SetTrue).help("Show help"));
    let asks_for_help = |word: &String| word == "-h" || word == "--help" || word == "-help";
    let flags = words.iter().take_while(|word| !first || word.starts_with('-'));
    if flags.clone().take_while(|word| *word != "--").any(asks_for_help) {
        return Err(Stop::Help);
    }
    command.build();
    let matches = command.try_get_matches_from_mut(words);
    let parsed = matches.and_then(|matches| A::from_arg_matches(&matches));
    parsed.map_err(|error| Stop::Wrong(wrong(&name, &error)))
}

/// Go's ways to write flags, rewritten to everybody else's.
fn rewrite(command: &Command, words: &mut Vec<String>, first_word_ends_flags: bool) -> Result<(), Stop> {
    let mut position = 0;
    while position < words.len() {
        let word = &words[position];
        if word == "--" {
            break;
        }
        let Some(flag) = word.strip_prefix('-').filter(|flag| !flag.is_empty()) else {
            if first_word_ends_flags {
                break;
            }
            position += 1;
            continue;
        };
        let (dashes, flag) = flag.strip_prefix('-').map_or((1, flag), |flag| (2, flag));
        let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        let of_name = |arg: &&Arg| {
            arg.get_long() == Some(name)
                || dashes == 1 && arg.get_short().is_some_and(|short| name.chars().eq([short]))
        };
        let Some(arg) = command.get_arguments().find(of_name) else {
            position += 1;
            continue;
        };
        let takes_value = arg.get_action().takes_values();
        let dashes = if arg.get_long() == Some(name) { "--" } else { "-" };
        let rewritten = match value {
            Some(value) if !takes_value => match boolean(value) {
                Some(true) => Some(format!("{dashes}{name}")),
                Some(false) => None,
                None => {
                    let message = format!("invalid boolean value {value:?} for -{name}: parse error");
                    return Err(Stop::Wrong(message));
                }
            },
            Some(value) => Some(format!("{dashes}{name}={value}")),
            None => Some(format!("{dashes}{name}")),
        };
        let has_own_value = takes_value && value.is_none();
        match rewritten {
            Some(word) => {
                words[position] = word;
                position += 1 + usize::from(has_own_value);
            }
            None => {
                words.remove(position);
            }
        }
    }
    Ok(())
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// One line, in runc's words where callers know them.
fn wrong(name: &str, error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let count = || {
        let wanted = commands::expects(name);
        format!("{NAME}: {name:?} requires {wanted}")
    };
    match error.kind() {
        ErrorKind::UnknownArgument => match context(ContextKind::InvalidArg) {
            Some(flag) if flag.starts_with('-') => {
                format!("flag provided but not defined: -{}", flag.trim_start_matches('-'))
            }
            _ => count(),
        },
        ErrorKind::MissingRequiredArgument | ErrorKind::TooManyValues => count(),
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).to_owned()
        }
    }
}

fn help() -> String {
    let mut command = Global::augment_args(Command::new(NAME))
        .about("Run containers from OCI bundles, with the command line of runc")
        .override_usage("conex-runtime [OPTIONS] COMMAND [ARGUMENTS]")
        .mut_arg("words", |arg| arg.hide(true))
        .disable_version_flag(true)
        .after_help(format!(
            "Commands:\n{}\n\
             Examples:\n  \
             conex-runtime spec                            a config.json to begin with\n  \
             conex-runtime run -b /path/to/bundle web      create, start, wait, delete\n  \
             conex-runtime create -b /path/to/bundle web   create, to start later\n  \
             conex-runtime exec -t web sh                  another process in it\n\n\
             'conex-runtime COMMAND --help' tells of one command.",
            commands::list()
        ));
    command.render_help().to_string()
}

/// In the shape that callers look for `spec:` in.
fn version() -> String {
    format!("{NAME} version {}\nspec: {}\n", env!("CARGO_PKG_VERSION"), conex_oci::runtime::SPEC_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Args)]
    struct Sample {
        #[arg(short, long)]
        detach: bool,
        #[arg(short, long)]
        bundle: Option<String>,
        words: Vec<String>,
    }

    fn sample(words: &[&str], first: bool) -> Result<Sample, String> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        parse(Sample::augment_args(Command::new("run")), words, first).map_err(|stop| match stop {
            Stop::Help => "help".to_owned(),
            Stop::Wrong(message) => message,
        })
    }

    #[test]
    fn flags_are_gos() {
        let one = sample(&["-bundle", "/b", "--detach=true", "x"], false).unwrap();
        assert_eq!((one.bundle.as_deref(), one.detach, one.words.len()), (Some("/b"), true, 1));
        assert!(!sample(&["-detach=f", "x"], false).unwrap().detach);
        assert_eq!(sample(&["-b=/b"], false).unwrap().bundle.as_deref(), Some("/b"));
        assert_eq!(sample(&["x", "--bundle", "--detach"], false).unwrap_err(), {
            "a value is required for '--bundle <BUNDLE>' but none was supplied"
        });
        assert!(sample(&["-detach=maybe"], false).unwrap_err().contains("invalid boolean value"));
        assert_eq!(sample(&["--nope"], false).unwrap_err(), "flag provided but not defined: -nope");
        assert_eq!(sample(&["-d", "--help"], false).unwrap_err(), "help");
    }
}
