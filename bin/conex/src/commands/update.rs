//! `update`

use clap::Command;
use conex_engine::options::{OptionError, RestartPolicy, UpdateOptions};

use crate::cli::args::{many, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::config::Config;
use crate::errors::Error;
use crate::flags::limits;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "update",
    aliases: &[],
    about: "Update configuration of one or more containers",
    usage: "CONTAINER [CONTAINER...]",
    arity: Arity::AtLeast(1),
    examples: "  conex update --memory 1g --memory-swap 2g web
  conex update --cpus 1.5 --pids-limit 200 web db
  conex update --restart unless-stopped web",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command
        .args(limits::define_changes())
        .arg(value("restart", "string").help("Restart policy to apply when a container exits"))
        .arg(many("container"))
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let change = UpdateOptions {
        limits: limits::read(given, &Config::default())?,
        restart: given.parsed("restart", restart)?,
    };
    if change.is_empty() {
        let why = "you must provide one or more flags when using this command";
        return Err(Error::Refused(why.to_owned()));
    }
    super::each_container(context, given, |engine, id| {
        engine.update(id, &change)?.into_iter().for_each(output::warning);
        Ok(())
    })
}

/// As with Docker, a policy is not looked at as the flags are.
fn restart(text: &str) -> Result<RestartPolicy, Error> {
    text.parse().map_err(|error: OptionError| Error::Refused(error.to_string()))
}
