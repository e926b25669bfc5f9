//! `port`: which of the host's ports lead to a container's.

use clap::{Arg, Command};
use conex_engine::network::{PortError, PortSpec, Published};

use crate::cli::args::one;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "port",
    aliases: &[],
    about: "List port mappings or a specific mapping for the container",
    usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
    arity: Arity::Between(1, 2),
    examples: "  conex port web\n  conex port web 80/tcp",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([one("container"), Arg::new("port").value_name("PRIVATE_PORT[/PROTO]")])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let engine = context.engine()?;
    let name = given.argument("container");
    let mut ports = engine.ports(&engine.find(name)?)?;
    ports.sort_by_key(|port| (port.container_port, port.protocol, port.host));
    let host = |port: &Published| std::net::SocketAddr::new(port.host, port.host_port).to_string();
    match given.filled("port") {
        None => {
            for port in &ports {
                output::line(format!("{}/{} -> {}", port.container_port, port.protocol, host(port)))?;
            }
        }
        Some(text) => {
            let asked: PortSpec =
                text.parse().map_err(|error: PortError| Error::Refused(error.to_string()))?;
            let fits = |port: &&Published| {
                port.container_port == asked.container_ports.first && port.protocol == asked.protocol
            };
            let found: Vec<_> = ports.iter().filter(fits).collect();
            if found.is_empty() {
                let port = format!("{}/{}", asked.container_ports, asked.protocol);
                return Err(conex_engine::Error::NotPublished { name: name.to_owned(), port }.into());
            }
            found.into_iter().try_for_each(|port| output::line(host(port)))?;
        }
    }
    Ok(0)
}
