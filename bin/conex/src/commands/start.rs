//! `start`: containers that were created or have ended.

use clap::Command;
use conex_engine::{Engine, StartMode};
use conex_oci::ContainerId;

use super::session::{Outcome, Session};
use crate::cli::args::{flag, many, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "start",
    aliases: &[],
    about: "Start one or more stopped containers",
    usage: "CONTAINER [CONTAINER...]",
    arity: Arity::AtLeast(1),
    examples: "  conex start web\n  conex start -ai shell",
    unsupported: &["--checkpoint", "--checkpoint-dir"],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        flag("attach").short('a').help("Attach STDOUT/STDERR and forward signals"),
        flag("interactive").short('i').help("Attach container's STDIN"),
        value("detach-keys", "string").help("Override the key sequence for detaching a container"),
        many("container"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    if !given.on("attach") && !given.on("interactive") {
        return super::each_container(context, given, |engine, id| {
            engine.start(id, StartMode::Detached)?;
            Ok(())
        });
    }
    if given.count("container") > 1 {
        return Err(Error::Arguments("you cannot start and attach multiple containers at once".to_owned()));
    }
    let engine = context.engine()?;
    let id = engine.find(given.argument("container"))?;
    attached(context, &engine, &id, given)
}

fn attached(context: &Context, engine: &Engine, id: &ContainerId, given: &Given<'_>) -> Result<u8, Error> {
    let document = engine.inspect(id, false)?;
    let tty = document["Config"]["Tty"].as_bool().unwrap_or(false);
    let open = document["Config"]["OpenStdin"].as_bool().unwrap_or(false);
    let session = Session::new(context, given, tty, given.on("interactive") && open)?;
    session.check()?;
    let signals = session.listen()?;
    match engine.start(id, StartMode::Attached(session.options()))? {
        Some(attachment) => match session.follow(engine, id, attachment, signals)? {
            Outcome::Code(code) => Ok(code),
            Outcome::Detached => Ok(0),
        },
        None => Ok(0),
    }
}
