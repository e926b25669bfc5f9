//! `debug`: a shell with tools in a container that has none.

use std::io::IsTerminal;

use clap::{Arg, Command};
use conex_engine::{DebugOptions, Engine, StartMode};

use super::create;
use super::session::{Outcome, Session};
use crate::cli::args::{flag, one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "debug",
    aliases: &[],
    about: "Run a shell with tools in a container that has none",
    usage: "CONTAINER [-- COMMAND [ARG...]]",
    arity: Arity::AtLeast(1),
    examples: "  conex debug web\n  conex debug web -- ps\n  conex debug --image nicolaka/netshoot web -- tcpdump -ni eth0",
    unsupported: &[],
    failure: 125,
    define,
    run,
};

/// Images with a shell, the smallest first, by the last part of their names.
const SHELLS: [&str; 4] = ["busybox", "toybox", "alpine", "debian"];

fn define(command: Command) -> Command {
    command.args([
        value("image", "image").help("Image with the tools (default: a busybox or alpine that is here)"),
        flag("quiet").short('q').help("Suppress the pull output and the hint"),
        value("detach-keys", "string").help("Override the key sequence for detaching a container"),
        one("container"),
        Arg::new("words").value_name("COMMAND").num_args(0..).trailing_var_arg(true),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let engine = context.engine()?;
    let id = engine.find(given.argument("container"))?;
    let image = match given.filled("image") {
        Some(image) => image.to_owned(),
        None => tools(&engine)?,
    };
    let mut command: Vec<String> = given.texts("words").map(str::to_owned).collect();
    if command.is_empty() {
        command.push("sh".to_owned());
    }
    // With a terminal on both sides, as a shell is typed at; else as a filter.
    let tty = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let debugger = engine.debugger(&id, DebugOptions { image, command, interactive: true, tty })?;
    let session = Session::new(context, given, tty, true)?;
    let made = create::make(context, &engine, given, &debugger.options, Engine::prepare)?;
    if tty && !given.on("quiet") {
        output::note(format!("The files of {} are at {}.", given.argument("container"), debugger.root));
    }
    let signals = session.listen()?;
    match engine.start(&made.id, StartMode::Attached(session.options()))? {
        Some(attachment) => match session.follow(&engine, &made.id, attachment, signals)? {
            Outcome::Code(code) => Ok(code),
            Outcome::Detached => Ok(0),
        },
        None => Ok(0),
    }
}

/// An image that is here and has a shell.
fn tools(engine: &Engine) -> Result<String, Error> {
    let here = engine.images().list(&conex_image::Filter::default())?;
    let names: Vec<_> = here.iter().flat_map(|image| &image.image.references).collect();
    let of = |shell: &str| names.iter().find(|name| name.repository().rsplit('/').next() == Some(shell));
    SHELLS.into_iter().find_map(of).map(ToString::to_string).ok_or_else(|| {
        Error::Refused(
            "no image with a shell is here; 'conex pull busybox' brings a small one, --image takes any other"
                .to_owned(),
        )
    })
}
