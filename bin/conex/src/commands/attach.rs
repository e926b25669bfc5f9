//! `attach`: back to a container that runs.

use clap::Command;

use super::session::{Outcome, Session};
use crate::cli::args::{flag, one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "attach",
    aliases: &[],
    about: "Attach local standard input, output, and error streams to a running container",
    usage: "CONTAINER",
    arity: Arity::Exactly(1),
    examples: "  conex attach web\n  conex attach --no-stdin --sig-proxy=false web",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        flag("no-stdin").help("Do not attach STDIN"),
        flag("sig-proxy").help("Proxy all received signals to the process (default true)"),
        value("detach-keys", "string").help("Override the key sequence for detaching a container"),
        one("container"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let engine = context.engine()?;
    let id = engine.find(given.argument("container"))?;
    let document = engine.inspect(&id, false)?;
    let state = &document["State"];
    if state["Running"].as_bool() != Some(true) {
        return Err(Error::Refused("cannot attach to a stopped container, start it first".to_owned()));
    }
    if state["Paused"].as_bool() == Some(true) {
        return Err(Error::Refused("cannot attach to a paused container, unpause it first".to_owned()));
    }
    let tty = document["Config"]["Tty"].as_bool().unwrap_or(false);
    let open = document["Config"]["OpenStdin"].as_bool().unwrap_or(false);
    let session = Session::new(context, given, tty, open && !given.on("no-stdin"))?.proxied(given);
    session.check()?;
    let signals = session.listen()?;
    let attachment = engine.attach(&id, session.options())?;
    match session.follow(&engine, &id, attachment, signals)? {
        Outcome::Code(code) => Ok(code),
        Outcome::Detached => {
            output::note("read escape sequence");
            Ok(1)
        }
    }
}
