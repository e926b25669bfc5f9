//! `pod start`, `stop`, `restart`, `kill`, `pause`, `unpause`, `top`.

use clap::Command;
use conex_engine::options::parse_signal;

use super::{each, several};
use crate::cli::args::{value, words};
use crate::cli::{Arity, Verb};
use crate::commands::stop::grace;

pub(crate) const START: Verb = Verb {
    name: "start",
    aliases: &[],
    about: "Start all containers of one or more pods",
    usage: "[POD...]",
    arity: Arity::AtLeast(0),
    examples: "  conex pod start web\n  conex pod start --all",
    unsupported: &["--pod-id-file"],
    failure: 1,
    define: several,
    run: |context, given| each(context, given, |engine, id| Ok(engine.start_pod(id)?)),
};

pub(crate) const STOP: Verb = Verb {
    name: "stop",
    about: "Stop all containers of one or more pods",
    examples: "  conex pod stop -t 2 web",
    define: timed,
    run: |context, given| {
        let grace = grace(given)?;
        each(context, given, |engine, id| Ok(engine.stop_pod(id, grace)?))
    },
    ..START
};

pub(crate) const RESTART: Verb = Verb {
    name: "restart",
    about: "Stop and start all containers of one or more pods",
    examples: "  conex pod restart web",
    run: |context, given| each(context, given, |engine, id| Ok(engine.restart_pod(id)?)),
    ..START
};

pub(crate) const KILL: Verb = Verb {
    name: "kill",
    about: "Send a signal to all running containers of one or more pods",
    examples: "  conex pod kill -s HUP web",
    define: |command| {
        several(command).arg(value("signal", "string").short('s').help("Signal to send (default KILL)"))
    },
    run: |context, given| {
        let signal = given.parsed("signal", parse_signal)?.unwrap_or(9);
        each(context, given, |engine, id| Ok(engine.kill_pod(id, signal)?))
    },
    ..START
};

pub(crate) const PAUSE: Verb = Verb {
    name: "pause",
    about: "Pause all processes of one or more pods",
    examples: "  conex pod pause web",
    run: |context, given| each(context, given, |engine, id| Ok(engine.pause_pod(id)?)),
    ..START
};

pub(crate) const UNPAUSE: Verb = Verb {
    name: "unpause",
    about: "Unpause all processes of one or more pods",
    examples: "  conex pod unpause web",
    run: |context, given| each(context, given, |engine, id| Ok(engine.unpause_pod(id)?)),
    ..START
};

pub(crate) const TOP: Verb = Verb {
    name: "top",
    about: "Display the running processes of a pod",
    usage: "POD [ps OPTIONS]",
    arity: Arity::AtLeast(1),
    examples: "  conex pod top web\n  conex pod top web -o pid,comm",
    define: |command| command.arg(words("words", "POD")),
    run: |context, given| {
        let mut words = given.texts("words").map(str::to_owned);
        let pod = words.next().unwrap_or_default();
        let options: Vec<String> = words.collect();
        let engine = context.engine()?;
        let pod = engine.find_pod(&pod)?;
        crate::commands::top::show(&engine.top_pod(&pod, &options)?)
    },
    ..START
};

fn timed(command: Command) -> Command {
    several(command).arg(
        value("timeout", "int")
            .short('t')
            .alias("time")
            .help("Seconds to wait before killing a container, -1 for no end (default 10)"),
    )
}
