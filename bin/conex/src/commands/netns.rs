//! `netns exec`: as `ip netns exec`, by a container's name.

use clap::{Arg, Command};
use conex_engine::{EnterOptions, Spaces};
use conex_oci::runtime::NamespaceKind;

use super::nsenter::enter;
use crate::cli::args::one;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const EXEC: Verb = Verb {
    name: "exec",
    aliases: &[],
    about: "Run a program of the host in a container's network namespace",
    usage: "CONTAINER -- COMMAND [ARG...]",
    arity: Arity::AtLeast(2),
    examples: "  conex netns exec web -- ss -tnlp\n  conex netns exec web -- tcpdump -ni eth0\n  conex netns exec web -- nft list ruleset",
    unsupported: &[],
    failure: 125,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        one("container"),
        Arg::new("words").value_name("COMMAND").required(true).num_args(1..).trailing_var_arg(true),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let command = given.texts("words").map(str::to_owned).collect();
    let spaces = Spaces::of(&[NamespaceKind::Network]);
    enter(context, given, &EnterOptions { command, spaces, ..EnterOptions::default() })
}
