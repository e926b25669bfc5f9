//! `rm`

use clap::Command;
use conex_engine::RemoveOptions;

use crate::cli::args::{flag, many};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "rm",
    aliases: &[],
    about: "Remove one or more containers",
    usage: "CONTAINER [CONTAINER...]",
    arity: Arity::AtLeast(1),
    examples: "  conex rm job\n  conex rm -f $(conex ps -aq)",
    unsupported: &["--link", "-l"],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        flag("force").short('f').help("Force the removal of a running container (uses SIGKILL)"),
        flag("volumes").short('v').help("Remove anonymous volumes associated with the container"),
        many("container"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let options = RemoveOptions { force: given.on("force"), volumes: given.on("volumes") };
    super::each_container(context, given, |engine, id| Ok(engine.remove(id, options)?))
}
