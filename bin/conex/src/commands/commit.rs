//! `commit`

use clap::{Arg, Command};
use conex_engine::CommitOptions;

use crate::cli::args::{flag, list, one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "commit",
    aliases: &[],
    about: "Create a new image from a container's changes",
    usage: "CONTAINER [REPOSITORY[:TAG]]",
    arity: Arity::Between(1, 2),
    examples: "  conex commit web web:edited
  conex commit -m 'with curl' -c 'CMD [\"curl\", \"--version\"]' -c 'ENV LANG=C.UTF-8' tools tools:2",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        value("author", "string")
            .short('a')
            .help("Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")"),
        list("change", "list").short('c').help("Apply Dockerfile instruction to the created image"),
        value("message", "string").short('m').help("Commit message"),
        flag("pause").short('p').help("Pause container during commit (default true)"),
        flag("no-pause").help("Disable pausing container during commit"),
        one("container"),
        Arg::new("reference").value_name("REPOSITORY[:TAG]"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let options = CommitOptions {
        author: given.filled("author").map(str::to_owned),
        message: given.filled("message").map(str::to_owned),
        changes: given.texts("change").map(str::to_owned).collect(),
        pause: given.switch("pause").unwrap_or(true) && !given.on("no-pause"),
        reference: given.parsed("reference", str::parse)?,
    };
    let engine = context.engine()?;
    let id = engine.find(given.argument("container"))?;
    output::line(engine.commit(&id, &options)?.id.to_string())?;
    Ok(0)
}
