//! `logs`

use std::io::{self, Write};

use clap::Command;
use conex_engine::{LogLine, LogStream, LogsQuery};

use super::time;
use crate::cli::args::{flag, one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "logs",
    aliases: &[],
    about: "Fetch the logs of a container",
    usage: "CONTAINER",
    arity: Arity::Exactly(1),
    examples: "  conex logs -f --tail 20 web\n  conex logs -t --since 10m web",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        flag("follow").short('f').help("Follow log output"),
        flag("timestamps").short('t').help("Show timestamps"),
        flag("details").help("Show extra details provided to logs"),
        value("tail", "string")
            .short('n')
            .help("Number of lines to show from the end of the logs (default \"all\")"),
        value("since", "string")
            .help("Show logs since timestamp (2013-01-02T13:23:37Z) or relative (42m for 42 minutes)"),
        value("until", "string")
            .help("Show logs before a timestamp (2013-01-02T13:23:37Z) or relative (42m for 42 minutes)"),
        one("container"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let query = LogsQuery {
        follow: given.on("follow"),
        since: given.parsed("since", |text| time::parse("since", text))?,
        until: given.parsed("until", |text| time::parse("until", text))?,
        tail: given.parsed("tail", tail)?.flatten(),
    };
    let (timestamps, details) = (given.on("timestamps"), given.on("details"));
    let engine = context.engine()?;
    let id = engine.find(given.argument("container"))?;
    let mut broken = None;
    let read = engine.logs(&id, &query, &mut |line| {
        print(&line, timestamps, details).map_err(|error| {
            let kind = error.kind();
            broken = Some(error);
            kind.into()
        })
    });
    match broken {
        Some(source) => Err(Error::Output(source)),
        None => Ok(read.map(|()| 0)?),
    }
}

/// `all`, a number, or a negative one, which is all too.
fn tail(text: &str) -> Result<Option<usize>, Error> {
    if text == "all" {
        return Ok(None);
    }
    match text.parse::<i64>() {
        Ok(count) => Ok(usize::try_from(count).ok()),
        Err(_) => Err(Error::usage(format!(
            "invalid argument {text:?} for \"--tail\" flag: expected a number of lines or \"all\""
        ))),
    }
}

fn print(line: &LogLine, timestamps: bool, details: bool) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(line.bytes.len() + 40);
    if timestamps {
        bytes.extend_from_slice(line.time.as_bytes());
        bytes.push(b' ');
    }
    if details {
        // Attributes that a log option names stand here; json-file has none of them in its lines.
        bytes.push(b' ');
    }
    bytes.extend_from_slice(&line.bytes);
    match line.stream {
        LogStream::Stdout => {
            let mut out = io::stdout().lock();
            out.write_all(&bytes)?;
            out.flush()
        }
        LogStream::Stderr => io::stderr().lock().write_all(&bytes),
    }
}
