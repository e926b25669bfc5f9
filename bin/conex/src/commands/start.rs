//! `start`: containers that were created or have ended.

use clap::Command;
use conex_engine::{Engine, StartMode};
use conex_oci::ContainerId;

use super::chosen::{self, Those};
use super::session::{Outcome, Session};
use crate::cli::args::{flag, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "start",
    aliases: &[],
    about: "Start one or more stopped containers",
    usage: "CONTAINER [CONTAINER...]",
    arity: Arity::Containers,
    examples: "  conex start web\n  conex start -ai shell\n  conex start --all --filter should-start-on-boot=true",
    unsupported: &["--checkpoint", "--checkpoint-dir"],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    chosen::define(command, "Start all containers that do not run").mut_arg("all", |all| all.short(None)).args([
        flag("attach").short('a').help("Attach STDOUT/STDERR and forward signals"),
        flag("interactive").short('i').help("Attach container's STDIN"),
        value("detach-keys", "string").help("Override the key sequence for detaching a container"),
        value("sdnotify", "string")
            .help("Who tells the service manager that it is ready, over the container's own (container, conmon, healthy, ignore)"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let engine = context.engine()?.with_notify(given.parsed("sdnotify", str::parse)?);
    if !given.on("attach") && !given.on("interactive") {
        return chosen::each(&engine, given, (Those::AtRest, false), |engine, id| {
            engine.start(id, StartMode::Detached)?;
            Ok(())
        });
    }
    if given.count("container") == 0 {
        return Err(Error::Arguments("to attach, name one container".to_owned()));
    }
    if given.count("container") > 1 {
        return Err(Error::Arguments("you cannot start and attach multiple containers at once".to_owned()));
    }
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
