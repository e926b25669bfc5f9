//! `logout`

use clap::{Arg, Command};
use conex_registry::{LoggedOut, server_of};

use super::login;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "logout",
    aliases: &[],
    about: "Log out from a registry",
    usage: "[SERVER]",
    arity: Arity::AtMost(1),
    examples: "  conex logout registry.example.com",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.arg(Arg::new("server").value_name("SERVER"))
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let registry = login::registry(given.filled("server"));
    let server = server_of(&registry);
    match context.registries().logout(&registry)? {
        LoggedOut::Removed => output::line(format!("Removing login credentials for {server}"))?,
        LoggedOut::NotLoggedIn => output::line(format!("Not logged in to {server}"))?,
    }
    Ok(0)
}
