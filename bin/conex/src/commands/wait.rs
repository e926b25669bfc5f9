//! `wait`: prints exit codes as containers end.

use std::time::Duration;

use clap::Command;
use conex_engine::WaitCondition;

use super::time;
use crate::cli::args::{flag, list, many, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "wait",
    aliases: &[],
    about: "Block until one or more containers stop, then print their exit codes",
    usage: "CONTAINER [CONTAINER...]",
    arity: Arity::AtLeast(1),
    examples: "  conex wait job
  conex wait --condition running --condition exited web
  conex wait --condition healthy --interval 1s db",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        list("condition", "condition")
            .help("Condition to wait on: not-running, next-exit, removed, exited, running, healthy, … (default not-running)"),
        value("interval", "duration").short('i').help("Time between two looks, as 250ms (default 50ms)"),
        flag("ignore").help("Print -1 for a container that is not there"),
        many("container"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let mut conditions = Vec::new();
    for text in given.texts("condition").flat_map(|text| text.split(',')) {
        conditions.push(text.parse::<WaitCondition>().map_err(Error::Refused)?);
    }
    if conditions.is_empty() {
        conditions.push(WaitCondition::default());
    }
    let interval = given.parsed("interval", interval)?.unwrap_or(Duration::from_millis(50));
    let engine = context.engine()?;
    super::each(given.texts("container"), |name| {
        match engine.find(name).and_then(|id| engine.wait_for(&id, &conditions, interval)) {
            Ok(status) => Ok(Some(status.to_string())),
            Err(conex_engine::Error::NoSuchContainer { .. }) if given.on("ignore") => {
                Ok(Some("-1".to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    })
}

/// A duration, or a number of milliseconds, which is what Podman takes.
fn interval(text: &str) -> Result<Duration, Error> {
    let nanoseconds = match text.parse::<u32>() {
        Ok(milliseconds) => Some(i128::from(milliseconds) * 1_000_000),
        Err(_) => time::duration(text),
    };
    let shortest = Duration::from_millis(1);
    nanoseconds
        .and_then(|nanoseconds| u64::try_from(nanoseconds).ok())
        .map(|nanoseconds| Duration::from_nanos(nanoseconds).max(shortest))
        .ok_or_else(|| {
            Error::usage(format!(
                "invalid argument {text:?} for \"--interval\" flag: expected a duration as 250ms"
            ))
        })
}
