//! `top`

use clap::Command;
use conex_engine::Top;

use super::ui;
use crate::cli::args::{flag, words};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::table;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "top",
    aliases: &[],
    about: "Display the running processes of a container",
    usage: "CONTAINER [ps OPTIONS]",
    arity: Arity::Containers,
    examples: "  conex top web\n  conex top web -o pid,rss,args\n  conex top --all",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        flag("all").help("Show all containers, in the dashboard of 'conex ui'"),
        words("container", "CONTAINER").required(false),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    if given.on("all") {
        return match given.texts("container").next() {
            Some(named) => Err(Error::usage(format!("--all shows all containers: leave {named:?} out"))),
            None => ui::show(context),
        };
    }
    let mut words = given.texts("container").map(str::to_owned);
    let container = words.next().unwrap_or_default();
    let options: Vec<String> = words.collect();
    let engine = context.engine()?;
    let id = engine.find(&container)?;
    show(&engine.top(&id, &options)?)
}

/// Prints a table of processes.
pub(super) fn show(top: &Top) -> Result<u8, Error> {
    let mut lines = top.titles.join("\t");
    for process in &top.processes {
        lines.push('\n');
        // A tab in a command line must not begin a column, nor an escape move the cursor.
        let cells: Vec<_> = process.iter().map(|cell| output::visible(cell, &[])).collect();
        lines.push_str(&cells.join("\t"));
    }
    output::line(table::align_wide(&lines))?;
    Ok(0)
}
