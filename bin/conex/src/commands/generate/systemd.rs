//! `generate systemd`: services for containers, and one that brings containers back after a boot.

use std::path::PathBuf;

use clap::Command;
use conex_engine::Engine;
use conex_oci::ContainerId;
use serde_json::Value;

use super::again;
use super::unit::{Unit, Word, plain};
use crate::cli::args::{flag, list, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(in super::super) const SYSTEMD: Verb = Verb {
    name: "systemd",
    aliases: &[],
    about: "Generate systemd units for a container, a pod, or for what a boot starts",
    usage: "CONTAINER|POD",
    arity: Arity::AtMost(1),
    examples: "  conex generate systemd --name web >/etc/systemd/system/container-web.service
  conex generate systemd --new --files --name web
  conex generate systemd --files --name shop-pod
  conex generate systemd --boot >/etc/systemd/system/conex-restart.service",
    unsupported: &[],
    failure: 125,
    define,
    run,
};

/// What a container may take longer to stop than its own time, before systemd kills its supervisor: seconds; podman's.
const STOP_MARGIN: u64 = 60;
const STOP_TIMEOUT: u64 = 10;
const RESTARTS: [&str; 7] =
    ["no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always"];

fn define(command: Command) -> Command {
    command.args([
        flag("name").short('n').help("Use the container's name instead of its ID"),
        flag("new").help("Make a new container at each start, and remove it at the end"),
        flag("files").short('f').help("Write files into the current directory instead of printing"),
        flag("boot")
            .help("The service that starts containers with --restart always or unless-stopped at a boot"),
        flag("no-header").help("Leave out the comment at the top"),
        flag("template").help("Make it a template, whose instances are named by %i (with --new)"),
        value("restart-policy", "string").help("Systemd restart-policy (default \"on-failure\")"),
        value("restart-sec", "int").help("Seconds before systemd restarts it"),
        value("time", "int").short('t').help("Seconds to stop the container in (default 10)"),
        value("stop-timeout", "int").help("The same as --time"),
        value("start-timeout", "int").help("Seconds that it may take to be ready"),
        list("wants", "unit").help("Add (weak) requirement dependencies"),
        list("after", "unit").help("Add dependencies order"),
        list("requires", "unit").help("Add (strong) requirement dependencies"),
        list("env", "env").short('e').help("Set environment variables of the unit"),
        value("container-prefix", "string").help("Systemd unit name prefix (default \"container\")"),
        value("pod-prefix", "string").help("Systemd unit name prefix for pods (default \"pod\")"),
        value("separator", "string").help("Between the prefix and the name (default \"-\")"),
        value("format", "string").help("Print in another format (json)"),
        clap::Arg::new("container").value_name("container"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let container = given.filled("container");
    let units: Vec<(String, String)> = match (given.on("boot"), container) {
        (true, None) => vec![("conex-restart".to_owned(), boot(&Program::of(context)?))],
        (true, Some(_)) => return Err(Error::usage("--boot is for all containers: name none")),
        (false, None) => {
            let usage = "conex generate systemd [OPTIONS] CONTAINER|POD";
            return Err(Error::Arguments(format!(
                "\"conex generate systemd\" requires exactly 1 argument; usage: {usage}"
            )));
        }
        (false, Some(container)) => {
            let units = services(&context.engine()?, context, given, container)?;
            units.into_iter().map(|unit| (unit.name.clone(), unit.text())).collect()
        }
    };
    let format = given.filled("format");
    if let Some(other) = format.filter(|format| *format != "json") {
        return Err(Error::usage(format!("unknown --format {other:?}: expected json")));
    }
    let mut document = serde_json::Map::new();
    for (name, mut content) in units {
        if given.on("files") {
            content = write(&name, &content)?;
        }
        match format {
            Some(_) => drop(document.insert(name, content.into())),
            None if given.on("files") => output::line(content)?,
            None => output::text(&content)?,
        }
    }
    if format.is_some() {
        output::line(Value::Object(document).to_string())?;
    }
    Ok(0)
}

/// The file's path.
fn write(name: &str, text: &str) -> Result<String, Error> {
    let path = std::env::current_dir().unwrap_or_default().join(format!("{name}.service"));
    match std::fs::write(&path, text) {
        Ok(()) => Ok(path.display().to_string()),
        Err(source) => Err(Error::File { action: "write", path, source }),
    }
}

/// How a service calls this program on these directories.
struct Program(Vec<String>);

impl Program {
    fn of(context: &Context) -> Result<Self, Error> {
        let path = std::env::current_exe().map_err(|source| Error::File {
            action: "find",
            path: "conex".into(),
            source,
        })?;
        let mut words = vec![path.display().to_string()];
        let (paths, usual) = (context.paths(), usual_paths());
        for (flag, path, usual) in [("--root", &paths.root, usual.0), ("--run-root", &paths.run, usual.1)] {
            if Some(path) != usual.as_ref() {
                words.extend([flag.to_owned(), path.display().to_string()]);
            }
        }
        Ok(Self(words))
    }

    fn command(&self, words: &[&str]) -> Vec<Word> {
        plain(self.0.iter().map(String::as_str).chain(words.iter().copied()))
    }
}

/// The directories that need no flag in a service of root's, or of the user's.
fn usual_paths() -> (Option<PathBuf>, Option<PathBuf>) {
    if rustix::process::geteuid().is_root() && !conex_engine::rootless::is_rootless() {
        return (Some("/var/lib/conex".into()), Some("/run/conex".into()));
    }
    let below = |name: &str, rest: &str| Some(PathBuf::from(std::env::var_os(name)?).join(rest));
    (below("HOME", ".local/share/conex"), below("XDG_RUNTIME_DIR", "conex"))
}

/// That of a container; those of a pod, whose own container comes first: with it the others stop, and by it they are started.
fn services(engine: &Engine, context: &Context, given: &Given<'_>, name: &str) -> Result<Vec<Unit>, Error> {
    let Ok(pod) = engine.find_pod(name) else {
        return Ok(vec![service(engine, context, given, &engine.find(name)?, "container")?]);
    };
    if given.on("new") {
        return Err(Error::usage("--new is for containers: a pod is made once, by 'conex pod create'"));
    }
    let mut own = service(engine, context, given, &pod, "pod")?;
    let mut units = Vec::new();
    for member in engine.pod_members(&pod)? {
        let mut unit = service(engine, context, given, &member, "container")?;
        unit.relations.extend(["BindsTo", "After"].map(|key| (key, format!("{}.service", own.name))));
        own.relations.extend(["Wants", "Before"].map(|key| (key, format!("{}.service", unit.name))));
        units.push(unit);
    }
    units.insert(0, own);
    Ok(units)
}

fn service(
    engine: &Engine,
    context: &Context,
    given: &Given<'_>,
    id: &ContainerId,
    kind: &str,
) -> Result<Unit, Error> {
    let document = engine.inspect(id, false)?;
    let name = document["Name"].as_str().unwrap_or_default().trim_start_matches('/').to_owned();
    let anew = given.on("new");
    if !anew && document["HostConfig"]["AutoRemove"] == true {
        return Err(Error::Refused(format!(
            "container {name} is removed when it ends (--rm): its service has to make it anew (--new)"
        )));
    }
    if given.on("template") && !anew {
        return Err(Error::usage("--template needs --new: a container has one name"));
    }
    let restart = given.filled("restart-policy").unwrap_or("on-failure");
    if !RESTARTS.contains(&restart) {
        return Err(Error::usage(format!(
            "invalid argument {restart:?} for \"--restart-policy\" flag: expected one of {}",
            RESTARTS.join(", ")
        )));
    }
    let stop_timeout = number(given, "time")?.or(number(given, "stop-timeout")?);
    let stop_timeout = stop_timeout.or(document["Config"]["StopTimeout"].as_u64()).unwrap_or(STOP_TIMEOUT);
    let called = if given.on("name") { name.as_str() } else { id.as_str() };
    let template = if given.on("template") { "@" } else { "" };
    let prefix = given.text(&format!("{kind}-prefix")).unwrap_or(kind);
    let separator = given.text("separator").unwrap_or("-");
    let unit_name = match prefix {
        "" => format!("{called}{template}"),
        prefix => format!("{prefix}{separator}{called}{template}"),
    };
    if unit_name.contains('/') {
        return Err(Error::usage(
            "a unit's name has no slash (--container-prefix, --pod-prefix, --separator)",
        ));
    }
    let program = Program::of(context)?;
    let service =
        Service { document: &document, name: &name, called, stop_timeout: &stop_timeout.to_string() };
    let commands = match anew {
        true => service.anew(&program, given.on("template"))?,
        false => service.again(&program),
    };
    let mut relations =
        vec![("Wants", "network-online.target".to_owned()), ("After", "network-online.target".to_owned())];
    for (flag, key) in [("wants", "Wants"), ("after", "After"), ("requires", "Requires")] {
        relations.extend(given.texts(flag).map(|unit| (key, unit.replace('\n', " "))));
    }
    let own = |name: &str| std::env::var(name).ok();
    let environment: Result<Vec<_>, _> =
        given.texts("env").map(|text| conex_engine::options::resolve_env(text, own)).collect();
    let header = match given.on("no-header") {
        true => Vec::new(),
        false => {
            vec![format!("{unit_name}.service"), format!("generated by conex {}", env!("CARGO_PKG_VERSION"))]
        }
    };
    Ok(Unit {
        description: format!("Conex {unit_name}.service{}", if template.is_empty() { "" } else { " for %I" }),
        name: unit_name,
        header,
        relations,
        environment: environment?,
        restart: restart.to_owned(),
        restart_sec: number(given, "restart-sec")?,
        start_timeout: number(given, "start-timeout")?,
        stop_timeout: stop_timeout.saturating_add(STOP_MARGIN),
        commands,
    })
}

struct Service<'a> {
    document: &'a Value,
    name: &'a str,
    called: &'a str,
    stop_timeout: &'a str,
}

impl Service<'_> {
    /// Who says that it is ready: as the container was asked for, else its supervisor.
    fn notify(&self) -> &str {
        self.document["Config"]["sdNotifyMode"].as_str().filter(|mode| *mode != "ignore").unwrap_or("conmon")
    }

    /// The container that is there is started and stopped.
    fn again(&self, program: &Program) -> Vec<(&'static str, Vec<Word>)> {
        let notify = format!("--sdnotify={}", self.notify());
        let stop = program.command(&["stop", "--ignore", "-t", self.stop_timeout, self.called]);
        vec![
            ("ExecStart", program.command(&["start", &notify, self.called])),
            ("ExecStop", stop.clone()),
            // Also when its supervisor was killed.
            ("ExecStopPost", stop),
        ]
    }

    /// It is made and removed each time.
    fn anew(&self, program: &Program, template: bool) -> Result<Vec<(&'static str, Vec<Word>)>, Error> {
        let line: Vec<String> =
            serde_json::from_value(self.document["Config"]["CreateCommand"].clone()).unwrap_or_default();
        let asked = again::read(&line)?;
        let file = || Word::Raw("--cidfile=%t/%n.ctr-id".to_owned());
        let mut start = program.command(&["run"]);
        start.push(file());
        start.extend(plain(["--rm", "--detach", "--replace"]));
        start.push(Word::Plain(format!("--sdnotify={}", self.notify())));
        start.push(match template {
            true => Word::Raw(format!("--name={}-%i", self.name)),
            false => Word::Plain(format!("--name={}", self.name)),
        });
        start.extend(
            asked
                .flags
                .into_iter()
                .filter(|flag| !matches!(flag, Word::Plain(text) if text.starts_with("--sdnotify="))),
        );
        start.extend(asked.words);
        let mut stop = program.command(&["stop", "--ignore", "-t", self.stop_timeout]);
        stop.push(file());
        let mut remove = program.command(&["rm", "--force", "--ignore", "-t", self.stop_timeout]);
        remove.push(file());
        let mut clear = plain(["/bin/rm", "-f"]);
        clear.push(Word::Raw("%t/%n.ctr-id".to_owned()));
        Ok(vec![("ExecStartPre", clear), ("ExecStart", start), ("ExecStop", stop), ("ExecStopPost", remove)])
    }
}

fn number(given: &Given<'_>, flag: &'static str) -> Result<Option<u64>, Error> {
    given.parsed(flag, |text| {
        text.parse().map_err(|_| {
            Error::usage(format!(
                "invalid argument {text:?} for \"--{flag}\" flag: expected seconds, 0 or more"
            ))
        })
    })
}

/// The service that brings containers back after a boot, and stops them in order at a shutdown.
fn boot(program: &Program) -> String {
    let words = |words: &[&str]| -> String {
        let unit = Unit { commands: vec![("Exec", program.command(words))], ..Unit::default() };
        let text = unit.text();
        text.lines().find_map(|line| line.strip_prefix("Exec=")).unwrap_or_default().to_owned()
    };
    let filter = "should-start-on-boot=true";
    let start = words(&["start", "--all", "--filter", filter]);
    let stop = words(&["stop", "--all", "--shutdown", "--filter", filter]);
    format!(
        "[Unit]
Description=Conex: containers with --restart always or unless-stopped
Documentation=man:conex-generate-systemd(1)
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
# One that cannot be started does not take the others with it.
ExecStart=-{start}
ExecStop=-{stop}
TimeoutStopSec=120

[Install]
WantedBy=default.target
"
    )
}
