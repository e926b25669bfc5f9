//! `exec`: one more process in a running container.

use clap::Command;
use conex_engine::ExecOptions;

use super::session::{Outcome, Session};
use crate::cli::args::{flag, value, words};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::flags;

pub(crate) const VERB: Verb = Verb {
    name: "exec",
    aliases: &[],
    about: "Execute a command in a running container",
    usage: "CONTAINER COMMAND [ARG...]",
    arity: Arity::AtLeast(2),
    examples: "  conex exec -it web sh\n  conex exec -u nobody -e LANG=C -w /tmp web env",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command
        .args([
            flag("detach").short('d').help("Detached mode: run command in the background"),
            flag("interactive").short('i').help("Keep STDIN open even if not attached"),
            flag("tty").short('t').help("Allocate a pseudo-TTY"),
            flag("privileged").help("Give extended privileges to the command"),
            value("user", "string").short('u').help("Username or UID (format: <name|uid>[:<group|gid>])"),
            value("workdir", "string").short('w').help("Working directory inside the container"),
            value("detach-keys", "string").help("Override the key sequence for detaching a container"),
        ])
        .args(flags::environment_args())
        .arg(words("words", "CONTAINER"))
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let mut words = given.texts("words").map(str::to_owned);
    let container = words.next().unwrap_or_default();
    let mut options = ExecOptions {
        command: words.collect(),
        env: flags::environment(given)?,
        user: given.filled("user").map(str::to_owned),
        workdir: given.filled("workdir").map(str::to_owned),
        tty: given.on("tty"),
        interactive: given.on("interactive"),
        privileged: given.on("privileged"),
        detach: given.on("detach"),
        size: None,
    };
    if options.command.is_empty() {
        return Err(Error::Arguments(
            "\"conex exec\" requires at least 2 arguments; usage: conex exec [OPTIONS] CONTAINER COMMAND [ARG...]"
                .to_owned(),
        ));
    }
    // As with Docker, signals are not passed on: they end this client, and the process inside goes on.
    let session = Session { proxy: false, ..Session::new(context, given, options.tty, options.interactive)? };
    if !options.detach {
        session.check()?;
        options.size = session.options().size;
    }
    let engine = context.engine()?;
    let id = engine.find(&container)?;
    let signals = if options.detach { None } else { Some(session.listen()?) };
    let (Some(attachment), Some(signals)) = (engine.exec(&id, &options)?, signals) else {
        return Ok(0);
    };
    match session.relay(attachment, signals, None, || Ok(137))? {
        Outcome::Code(code) => Ok(code),
        Outcome::Detached => Ok(0),
    }
}
