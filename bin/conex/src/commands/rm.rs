//! `rm`

use clap::Command;
use conex_engine::{Grace, RemoveOptions};

use super::chosen::{self, Those};
use crate::cli::args::{flag, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::flags::seconds;

pub(crate) const VERB: Verb = Verb {
    name: "rm",
    aliases: &[],
    about: "Remove one or more containers",
    usage: "CONTAINER [CONTAINER...]",
    arity: Arity::Containers,
    examples: "  conex rm job\n  conex rm -f $(conex ps -aq)",
    unsupported: &["--link", "-l"],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    let command =
        chosen::define(command, "Remove all containers").mut_arg("filter", |filter| filter.short(None));
    command.args(chosen::files()).args([
        flag("force").short('f').help("Force the removal of a running container (uses SIGKILL)"),
        flag("volumes").short('v').help("Remove anonymous volumes associated with the container"),
        value("time", "int")
            .short('t')
            .help("With --force: seconds to wait before killing the container (default 0)"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let options = RemoveOptions { force: given.on("force"), volumes: given.on("volumes") };
    let grace = given.parsed("time", |text| seconds("time", text))?.filter(|_| options.force);
    chosen::each(&context.engine()?, given, (Those::Any, true), |engine, id| {
        if let Some(grace) = grace {
            engine.stop(id, None, Grace::For(grace))?;
        }
        Ok(engine.remove(id, options)?)
    })
}
