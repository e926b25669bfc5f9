//! Help, in Docker's layout, from the same definitions that parse.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::{Noun, Verb};
use crate::commands::{NOUNS, VERBS};

/// Verbs that stand first: those that a newcomer looks for.
const COMMON: &[&str] = &["run", "exec", "ps", "logs", "stop", "rm", "images", "pull", "load", "inspect"];

/// `conex --help`
pub(super) fn root() -> String {
    let mut out = String::from(
        "\nUsage:  conex [OPTIONS] COMMAND\n\nRun and manage containers, without a daemon\n\nCommon Commands:\n",
    );
    let width = VERBS.iter().map(|verb| verb.name.len()).max().unwrap_or(0) + 2;
    let line = |out: &mut String, name: &str, about: &str| {
        let _ = writeln!(out, "  {name:width$}{about}");
    };
    for name in COMMON {
        if let Some(verb) = super::find(name) {
            line(&mut out, verb.name, verb.about);
        }
    }
    out.push_str("\nManagement Commands:\n");
    for noun in NOUNS {
        line(&mut out, noun.name, noun.about);
    }
    out.push_str("\nCommands:\n");
    let mut rest: Vec<_> = VERBS.iter().filter(|verb| !COMMON.contains(&verb.name)).collect();
    rest.sort_by_key(|verb| verb.name);
    for verb in rest {
        line(&mut out, verb.name, verb.about);
    }
    out.push_str("\nGlobal Options:\n");
    options(&mut out, &super::root(), None);
    out.push_str("\nExamples:\n  conex run --rm hello\n  conex run -it --rm --memory 256m alpine:3.20 sh\n");
    out.push_str("\nRun 'conex COMMAND --help' for more information on a command.\n");
    out
}

/// `conex container --help`
pub(super) fn noun(noun: &Noun) -> String {
    let mut out = format!("\nUsage:  conex {} COMMAND\n\n{}\n\nCommands:\n", noun.name, noun.about);
    for (name, verb) in noun.verbs {
        let _ = writeln!(out, "  {name:12}{}", verb.about);
    }
    let _ = writeln!(out, "\nRun 'conex {} COMMAND --help' for more information on a command.", noun.name);
    out
}

/// `conex run --help`
pub(super) fn verb(verb: &Verb, path: &str, command: &Command) -> String {
    let usage = format!("{path} [OPTIONS] {}", verb.usage);
    let mut out = format!("\nUsage:  {}\n\n{}\n", usage.trim_end(), verb.about);
    if !verb.aliases.is_empty() {
        let names: Vec<_> =
            [verb.name].iter().chain(verb.aliases).map(|name| format!("conex {name}")).collect();
        let _ = writeln!(out, "\nAliases:\n  {}", names.join(", "));
    }
    let mut headings: Vec<Option<&str>> = Vec::new();
    for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
        if !headings.contains(&arg.get_help_heading()) {
            headings.push(arg.get_help_heading());
        }
    }
    // The flags without a heading of their own come first.
    headings.sort_by_key(Option::is_some);
    for heading in headings {
        let _ = writeln!(out, "\n{}:", heading.unwrap_or("Options"));
        options(&mut out, command, heading);
    }
    if !verb.examples.is_empty() {
        let _ = writeln!(out, "\nExamples:\n{}", verb.examples);
    }
    out
}

fn options(out: &mut String, command: &Command, heading: Option<&str>) {
    let mut list: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_positional() && !arg.is_hide_set() && arg.get_help_heading() == heading)
        .collect();
    list.sort_by_key(|arg| arg.get_long());
    let spelled = |arg: &Arg| {
        let short = arg.get_short().map_or("    ".to_owned(), |short| format!("-{short}, "));
        let long = arg.get_long().unwrap_or_default();
        let kind = match arg.get_value_names() {
            Some([kind]) if kind.as_str() != "bool" => format!(" {kind}"),
            _ => String::new(),
        };
        format!("{short}--{long}{kind}")
    };
    let width = list.iter().map(|arg| spelled(arg).len()).max().unwrap_or(0) + 3;
    for arg in list {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(out, "  {:width$}{help}", spelled(arg));
    }
}
