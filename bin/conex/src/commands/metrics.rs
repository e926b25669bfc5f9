//! `metrics`: what containers and the engine use, for Prometheus; once, or to whoever asks over HTTP.

use std::net::SocketAddr;

use clap::Command;
use conex_metrics::{Format, Options, Server};
use conex_sys::signal::SignalFd;
use rustix::event::{PollFd, PollFlags};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::cli::args::{flag, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "metrics",
    aliases: &[],
    about: "Tell Prometheus what containers use",
    usage: "",
    arity: Arity::None,
    examples: "  conex metrics
  conex metrics --listen 127.0.0.1:9655",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

/// Of those who ask: they are few, and answered one after the other.
const CONNECTIONS: usize = 16;
/// SIGINT, SIGTERM.
const ENDING: [i32; 2] = [2, 15];

fn define(command: Command) -> Command {
    command.args([
        value("listen", "address").help("Serve them over HTTP at this address and port, as 127.0.0.1:9655"),
        flag("openmetrics").help("Print OpenMetrics in place of Prometheus's text format"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let engine = context.engine()?;
    let Some(text) = given.filled("listen") else {
        let format = if given.on("openmetrics") { Format::OpenMetrics } else { Format::Prometheus };
        output::text(&conex_metrics::collect(&engine)?.text(format))?;
        return Ok(0);
    };
    let listen = listen(text)?;
    // Before there is a thread that could take them.
    let signals = SignalFd::new(&ENDING).map_err(|source| Error::Signals { source })?;
    let server = Server::bind(engine, &Options { listen, connections: CONNECTIONS })?;
    output::line(format!("Listening on {}", server.address()))?;
    if !listen.ip().is_loopback() {
        output::note("Anybody who reaches this address learns what the containers are called and use.");
    }
    // Closed when the server ends by itself, which it does not but for a fault.
    let (ended, held) =
        pipe_with(PipeFlags::CLOEXEC).map_err(|errno| Error::Signals { source: errno.into() })?;
    let serve = move || {
        let result = server.run();
        drop(held);
        result
    };
    let served = std::thread::Builder::new().name("metrics".to_owned()).spawn(serve);
    let served = served.map_err(|source| Error::Signals { source })?;
    let mut fds = [PollFd::new(&signals, PollFlags::IN), PollFd::new(&ended, PollFlags::IN)];
    while let Err(rustix::io::Errno::INTR) = rustix::event::poll(&mut fds, None) {}
    let is_told_to_end = !fds[0].revents().is_empty();
    // Nothing is under way that the end of the process would leave half done.
    match (!is_told_to_end).then(|| served.join()) {
        Some(Ok(result)) => Ok(result.map(|()| 0)?),
        _ => Ok(0),
    }
}

/// `ADDRESS:PORT`; a port alone is loopback's.
fn listen(text: &str) -> Result<SocketAddr, Error> {
    let full = match text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
        Ok(port) => format!("127.0.0.1:{port}"),
        Err(_) => text.to_owned(),
    };
    full.parse().map_err(|_| {
        Error::usage(format!("invalid address {text:?}: expected ADDRESS:PORT, as 127.0.0.1:9655"))
    })
}
