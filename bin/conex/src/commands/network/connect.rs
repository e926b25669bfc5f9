//! `network connect` and `network disconnect`

use clap::Command;
use conex_engine::options::{Connection, parse_hostname, parse_mac};

use crate::cli::args::{flag, list, one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const CONNECT: Verb = Verb {
    name: "connect",
    aliases: &[],
    about: "Connect a container to a network",
    usage: "NETWORK CONTAINER",
    arity: Arity::Exactly(2),
    examples: "  conex network connect web db
  conex network connect --ip 10.20.0.7 --alias database web db",
    unsupported: &["--driver-opt", "--link", "--link-local-ip", "--gw-priority"],
    failure: 1,
    define,
    run: connect,
};

pub(crate) const DISCONNECT: Verb = Verb {
    name: "disconnect",
    about: "Disconnect a container from a network",
    examples: "  conex network disconnect web db",
    unsupported: &[],
    define: |command| {
        command.args([
            flag("force").short('f').help("Force the container to disconnect from a network"),
            one("network"),
            one("container"),
        ])
    },
    run: disconnect,
    ..CONNECT
};

fn define(command: Command) -> Command {
    command.args([
        list("alias", "list").help("Add network-scoped alias for the container"),
        value("ip", "ip").help("IPv4 address (e.g., 172.30.100.104)"),
        value("ip6", "ip").help("IPv6 address (e.g., 2001:db8::33)"),
        value("mac-address", "string").help("MAC address (e.g., 92:d0:c6:0a:29:33)"),
        one("network"),
        one("container"),
    ])
}

fn connect(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let bad =
        |flag: &str, text: &str| Error::usage(format!("invalid --{flag} {text:?}: expected an IP address"));
    let connection = Connection {
        network: given.argument("network").to_owned(),
        ip: given.parsed("ip", |text| text.parse().map_err(|_| bad("ip", text)))?,
        ip6: given.parsed("ip6", |text| text.parse().map_err(|_| bad("ip6", text)))?,
        mac: given.parsed("mac-address", parse_mac)?,
        aliases: given.texts("alias").map(parse_hostname).collect::<Result<_, _>>()?,
        interface: None,
    };
    let engine = context.engine()?;
    engine.network_connect(&engine.find(given.argument("container"))?, &connection)?;
    Ok(0)
}

fn disconnect(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let engine = context.engine()?;
    let id = engine.find(given.argument("container"))?;
    match engine.network_disconnect(&id, given.argument("network")) {
        Err(conex_engine::Error::NotConnected { .. }) if given.on("force") => Ok(0),
        done => {
            done?;
            Ok(0)
        }
    }
}
