//! `logs`

use std::fmt::Write as _;
use std::io::{self, Write};

use clap::Command;
use conex_engine::{LogLine, LogStream, LogsQuery};

use super::time;
use crate::cli::args::{flag, many, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "logs",
    aliases: &[],
    about: "Fetch the logs of a container",
    usage: "CONTAINER [CONTAINER...]",
    arity: Arity::AtLeast(1),
    examples: "  conex logs -f --tail 20 web\n  conex logs -t --since 10m web\n  conex logs --names -n 3 web db",
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
        flag("names").help("Show the container's name in front of each line"),
        many("container"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let query = LogsQuery {
        follow: given.on("follow"),
        since: given.parsed("since", |text| time::parse("since", text))?,
        until: given.parsed("until", |text| time::parse("until", text))?,
        tail: given.parsed("tail", tail)?.flatten(),
    };
    let containers: Vec<&str> = given.texts("container").collect();
    if query.follow && containers.len() > 1 {
        return Err(Error::usage("--follow takes one container"));
    }
    let engine = context.engine()?;
    for name in containers {
        let id = engine.find(name)?;
        let shown = Shown {
            timestamps: given.on("timestamps"),
            details: given.on("details"),
            name: given.on("names").then_some(name),
        };
        let mut broken = None;
        let read = engine.logs(&id, &query, &mut |line| {
            print(&line, &shown).map_err(|error| {
                let kind = error.kind();
                broken = Some(error);
                kind.into()
            })
        });
        if let Some(source) = broken {
            return Err(Error::Output(source));
        }
        read?;
    }
    Ok(0)
}

/// What stands in front of each line.
struct Shown<'a> {
    timestamps: bool,
    details: bool,
    name: Option<&'a str>,
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

fn print(line: &LogLine, shown: &Shown<'_>) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(line.bytes.len() + 40);
    if let Some(name) = shown.name {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(b' ');
    }
    if shown.timestamps {
        bytes.extend_from_slice(line.time.as_bytes());
        bytes.push(b' ');
    }
    if shown.details {
        let pairs = line.attributes.iter().map(|(name, value)| [escaped(name), escaped(value)].join("="));
        bytes.extend_from_slice(pairs.collect::<Vec<_>>().join(",").as_bytes());
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

/// As Go's `url.QueryEscape`, in which Docker shows them: no value looks like two.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            b' ' => out.push('+'),
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
