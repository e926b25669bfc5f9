//! `completion`: scripts for shells, from the definitions that parse.

use clap::Command;
use clap_complete::{Shell, generate};

use crate::cli::args::one;
use crate::cli::{self, Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "completion",
    aliases: &[],
    about: "Generate the autocompletion script for bash, zsh or fish",
    usage: "SHELL",
    arity: Arity::Exactly(1),
    examples: "  conex completion bash > /etc/bash_completion.d/conex\n  source <(conex completion zsh)",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.arg(one("shell"))
}

fn run(_context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let shell = match given.argument("shell") {
        "bash" => Shell::Bash,
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        other => {
            return Err(Error::Refused(format!("unknown shell {other:?}; use bash, zsh or fish")));
        }
    };
    let mut script = Vec::new();
    generate(shell, &mut cli::tree(), "conex", &mut script);
    output::text(&String::from_utf8_lossy(&script))?;
    Ok(0)
}
