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
    output::text(&names(shell))?;
    Ok(0)
}

/// Verbs whose arguments are containers, and those whose first one is an image.
const OF_CONTAINERS: &str =
    "start stop restart kill wait rm rename attach exec logs inspect top pause unpause diff commit export";
const OF_IMAGES: &str = "run create save tag rmi history";

/// What the definitions do not know: the names of containers and images that there are.
fn names(shell: Shell) -> String {
    const CONTAINERS: &str = "conex ps -a --format '{{.Names}}' 2>/dev/null";
    const IMAGES: &str = "conex images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null";
    match shell {
        Shell::Bash => format!(
            r#"
_conex_and_names() {{
    _conex "$@"
    local word=${{COMP_WORDS[COMP_CWORD]}} names=
    case ${{COMP_WORDS[1]}} in
        {}) names=$({CONTAINERS}) ;;
        {}) names=$({IMAGES}) ;;
    esac
    if [[ -n $names && $word != -* && $COMP_CWORD -gt 1 ]]; then
        COMPREPLY+=($(compgen -W "$names" -- "$word"))
    fi
}}
complete -F _conex_and_names -o nosort -o bashdefault -o default conex
"#,
            OF_CONTAINERS.replace(' ', "|"),
            OF_IMAGES.replace(' ', "|"),
        ),
        Shell::Fish => format!(
            "complete -c conex -n '__fish_seen_subcommand_from {OF_CONTAINERS}' -f -a \"({CONTAINERS})\"\n\
             complete -c conex -n '__fish_seen_subcommand_from {OF_IMAGES}' -f -a \"({IMAGES})\"\n"
        ),
        _ => String::new(),
    }
}
