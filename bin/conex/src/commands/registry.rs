//! `registry serve`: the store as a registry.

use std::net::SocketAddr;

use clap::Command;
use conex_distribution::{Options, Server};

use crate::cli::args::{flag, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(crate) const SERVE: Verb = Verb {
    name: "serve",
    aliases: &[],
    about: "Serve the images of this machine as a registry",
    usage: "",
    arity: Arity::None,
    examples: "  conex registry serve
  conex registry serve --listen 0.0.0.0:5000 --read-only",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

/// Where registries listen when nobody says.
const LISTEN: &str = "127.0.0.1:5000";

fn define(command: Command) -> Command {
    command.args([
        value("listen", "address").help("Address and port to listen on (default 127.0.0.1:5000)"),
        flag("read-only").help("Let nobody push or delete"),
        value("connections", "number").help("The most connections at once (default 64)"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let text = given.filled("listen").unwrap_or(LISTEN);
    let listen: SocketAddr = text
        .parse()
        .map_err(|_| Error::usage(format!("invalid address {text:?}: expected ADDRESS:PORT, as {LISTEN}")))?;
    let number = |text: &str| match text.parse::<usize>() {
        Ok(number @ 1..=4096) => Ok(number),
        _ => Err(Error::usage(format!("invalid number of connections {text:?}: expected 1 to 4096"))),
    };
    let connections = given.parsed("connections", number)?.unwrap_or(64);
    let options = Options { listen, read_only: given.on("read-only"), connections };
    let store = context.images()?;
    let server = Server::bind(store.content().clone(), &options)?;
    output::line(format!("Listening on {}", server.address()))?;
    if !listen.ip().is_loopback() && !options.read_only {
        output::note(
            "Anybody who reaches this address may push and delete images; --read-only lets them pull only.",
        );
    }
    server.run()?;
    Ok(0)
}
