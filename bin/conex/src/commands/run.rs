//! `run`: create, start, and stay attached unless `-d`.

use clap::Command;
use conex_engine::{CreateOptions, Engine, StartMode};
use conex_oci::ContainerId;

use super::create;
use super::session::{Outcome, Session};
use crate::cli::args::flag;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::{flags, output};

pub(crate) const VERB: Verb = Verb {
    name: "run",
    aliases: &[],
    about: "Create and run a new container from an image",
    usage: "IMAGE [COMMAND] [ARG...]",
    arity: Arity::AtLeast(1),
    examples: "  conex run --rm hello
  conex run -it --rm alpine:3.20 sh
  conex run -d --name web --restart on-failure:3 --memory 256m --cpus 0.5 IMAGE
  conex run --rm -v \"$PWD\":/src:ro -w /src --network none --read-only --cap-drop ALL IMAGE make test",
    unsupported: flags::UNSUPPORTED,
    failure: 125,
    define,
    run,
};

fn define(command: Command) -> Command {
    flags::define(command).args([
        flag("detach").short('d').help("Run container in background and print container ID"),
        flag("sig-proxy").help("Proxy received signals to the process (default true)"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let options = flags::read(given, context.config()?)?;
    let detach = given.on("detach");
    let session = session(context, given, &options, detach)?;
    if !detach {
        session.check()?;
    }
    let engine = context.engine()?;
    let made = create::make(context, &engine, given, &options, Engine::prepare)?;
    if detach {
        engine.start(&made.id, StartMode::Detached)?;
        output::line(made.id.as_str())?;
        return Ok(0);
    }
    attached(&engine, &made.id, session)
}

fn attached(engine: &Engine, id: &ContainerId, session: Session) -> Result<u8, Error> {
    let signals = session.listen()?;
    match engine.start(id, StartMode::Attached(session.options()))? {
        Some(attachment) => match session.follow(engine, id, attachment, signals)? {
            Outcome::Code(code) => Ok(code),
            Outcome::Detached => Ok(0),
        },
        None => Ok(0),
    }
}

/// `-a` chooses streams; without it there are all, and standard input with `-i`.
fn session(
    context: &Context,
    given: &Given<'_>,
    options: &CreateOptions,
    detach: bool,
) -> Result<Session, Error> {
    let mut session = Session::new(context, given, options.tty, options.interactive)?.proxied(given);
    if let Some(chosen) = flags::chosen(given)? {
        if detach {
            return Err(Error::usage("conflicting options: cannot specify both --attach and --detach"));
        }
        (session.stdin, session.stdout, session.stderr) = (chosen.stdin, chosen.stdout, chosen.stderr);
    }
    Ok(session)
}
