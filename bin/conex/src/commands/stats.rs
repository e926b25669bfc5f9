//! `stats`: what containers use, as a table that is drawn anew, or once.

use std::time::Duration;

use clap::Command;
use conex_engine::stats::{ContainerStats, ContainerUsage};
use conex_engine::{Engine, PodFilter};
use conex_oci::ContainerId;
use serde_json::{Value, json};

use crate::cli::args::{any, flag, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::listing::{Column, Format, Row};
use crate::format::units::{binary, size};
use crate::{output, terminal};

pub(crate) const VERB: Verb = Verb {
    name: "stats",
    aliases: &[],
    about: "Display a live stream of container(s) resource usage statistics",
    usage: "[CONTAINER...]",
    arity: Arity::AtLeast(0),
    examples: "  conex stats
  conex stats --no-stream --format json web
  conex stats --format 'table {{.Name}}\\t{{.CPUPerc}}\\t{{.CPUPressure}}\\t{{.MemPressure}}\\t{{.IOPressure}}'",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

/// `pod stats`
pub(crate) const POD: Verb = Verb {
    name: "stats",
    about: "Display what the containers of one or more pods use",
    usage: "[POD...]",
    examples: "  conex pod stats web\n  conex pod stats --no-stream --format '{{.Pod}} {{.Name}} {{.MemUsage}}'",
    define: |command| define_for(command, "pod"),
    run: run_pods,
    ..VERB
};

/// The first is of `pod stats` alone.
const COLUMNS: &[Column] = &[
    ("Pod", "POD"),
    ("Container", "CONTAINER"),
    ("ID", "CONTAINER ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
    ("CPUPressure", "CPU WAIT"),
    ("MemPressure", "MEM WAIT"),
    ("IOPressure", "I/O WAIT"),
];

const TABLE: &str =
    "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

const POD_TABLE: &str = "{{.Pod}}\t{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

/// Between the two looks that the first use of processors is counted from.
const FIRST: Duration = Duration::from_millis(200);

fn define(command: Command) -> Command {
    define_for(command, "container")
}

fn define_for(command: Command, what: &'static str) -> Command {
    command.args([
        flag("all").short('a').help("Show all containers (default shows just running)"),
        flag("no-stream").help("Disable streaming stats and only pull the first result"),
        flag("no-trunc").help("Do not truncate output"),
        value("format", "string")
            .help("Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'"),
        value("interval", "seconds").short('i').help("Time between two tables, in seconds (default 1)"),
        any(what),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let engine = context.engine()?;
    show(&engine, given, Subject::Containers, &named(&engine, given)?)
}

/// All containers of the pods that are named, or of all pods.
fn run_pods(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let engine = context.engine()?;
    let pods: Vec<ContainerId> = match given.count("pod") {
        0 => engine.pods(&PodFilter::default())?.into_iter().map(|pod| pod.id).collect(),
        _ => given.texts("pod").map(|name| engine.find_pod(name)).collect::<Result<_, _>>()?,
    };
    if pods.is_empty() {
        return Ok(0);
    }
    let mut named = Vec::new();
    for pod in pods {
        let members = engine.pod_members(&pod)?;
        named.extend(std::iter::once(pod.clone()).chain(members).map(|id| (pod.short().to_owned(), id)));
    }
    show(&engine, given, Subject::Pods, &named)
}

/// What is asked about, and so what goes with each container: what it was called, or which pod it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Containers,
    Pods,
}

fn show(
    engine: &Engine,
    given: &Given<'_>,
    subject: Subject,
    named: &[(String, ContainerId)],
) -> Result<u8, Error> {
    let (table, columns) = match subject {
        Subject::Containers => (TABLE, &COLUMNS[1..]),
        Subject::Pods => (POD_TABLE, COLUMNS),
    };
    let format = Format::parse(given.filled("format").unwrap_or("table"), table)?;
    let interval = given.parsed("interval", interval)?.unwrap_or(Duration::from_secs(1));
    let ids = (!named.is_empty()).then(|| named.iter().map(|(_, id)| id.clone()).collect());
    let mut watch = engine.watch_stats(ids, given.on("all"));
    watch.begin()?;
    std::thread::sleep(FIRST);
    let (once, redraws) = (given.on("no-stream"), terminal::output_is_terminal());
    loop {
        let stats = watch.look()?;
        // All that were named have gone.
        if stats.is_empty() && !named.is_empty() {
            return Ok(0);
        }
        let rows: Vec<Value> =
            stats.iter().map(|one| row(one, subject, named, given.on("no-trunc"))).collect();
        let rows = rows.iter().map(|fields| Row { fields, method: &|_, _| None });
        let text = format.render(columns, rows)?;
        if once {
            output::text(&text)?;
            return Ok(0);
        }
        if redraws {
            // More than fits would scroll what is drawn over the next time.
            let rows = terminal::size().map_or(usize::MAX, |(rows, _)| usize::from(rows).saturating_sub(1));
            let fits: String = text.split_inclusive('\n').take(rows.max(1)).collect();
            output::screen(&fits)?;
        } else {
            output::text(&text)?;
        }
        std::thread::sleep(interval);
    }
}

fn interval(text: &str) -> Result<Duration, Error> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(Error::usage(format!(
            "invalid argument {text:?} for \"-i, --interval\" flag: expected seconds, from 0.1 to 86400"
        ))),
    }
}

/// The containers that were named, each once, with what they were called.
fn named(engine: &Engine, given: &Given<'_>) -> Result<Vec<(String, ContainerId)>, Error> {
    let mut named: Vec<(String, ContainerId)> = Vec::new();
    for text in given.texts("container") {
        let id = engine.find(text)?;
        if !named.iter().any(|(_, known)| *known == id) {
            named.push((text.to_owned(), id));
        }
    }
    Ok(named)
}

fn row(stats: &ContainerStats, subject: Subject, named: &[(String, ContainerId)], full: bool) -> Value {
    let id = if full { stats.id.as_str() } else { stats.id.short() };
    let called = named.iter().find(|(_, known)| *known == stats.id).map(|(text, _)| text.as_str());
    // One that does not run uses nothing, of nothing.
    let nothing = ContainerUsage::default();
    let usage = stats.usage.as_ref().unwrap_or(&nothing);
    let (received, sent) = usage.network();
    let [cpu, memory, io] = usage.pressure().map(|pressure| {
        pressure.map_or_else(|| "--".to_owned(), |pressure| format!("{:.2}%", pressure.some.avg10))
    });
    let mut row = json!({
        "Container": called.filter(|_| subject == Subject::Containers).unwrap_or(id),
        "ID": id,
        "Name": stats.name,
        "CPUPerc": format!("{:.2}%", usage.cpu_percent),
        "MemUsage": format!("{} / {}", binary(usage.memory), binary(usage.memory_limit)),
        "MemPerc": format!("{:.2}%", share(usage.memory, usage.memory_limit)),
        "NetIO": format!("{} / {}", size(received), size(sent)),
        "BlockIO": format!("{} / {}", size(usage.blocks.0), size(usage.blocks.1)),
        "PIDs": usage.pids.to_string(),
        "CPUPressure": cpu,
        "MemPressure": memory,
        "IOPressure": io,
    });
    if subject == Subject::Pods {
        row["Pod"] = called.unwrap_or_default().into();
    }
    row
}

#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}
