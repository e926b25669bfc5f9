//! `healthcheck run`: podman's; one probe now, whatever the interval.

use clap::Command;

use crate::cli::args::one;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(super) const RUN: Verb = Verb {
    name: "run",
    aliases: &[],
    about: "Run the health check of a container",
    usage: "CONTAINER",
    arity: Arity::Exactly(1),
    examples: "  conex healthcheck run web && echo it works",
    unsupported: &[],
    failure: 125,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.arg(one("container"))
}

/// 0 for well; 1 for not, and then the container's health is printed: one probe need not make it unhealthy.
fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let engine = context.engine()?;
    let id = engine.find(given.argument("container"))?;
    if engine.probe(&id)? {
        return Ok(0);
    }
    if let Some(health) = engine.health(&id)? {
        output::line(health.status.word())?;
    }
    Ok(1)
}
