//! `pod create`, and `--pod` of `run` and `create`.

use std::path::Path;

use clap::Command;
use conex_engine::options::{CreateOptions, PodOptions, PullPolicy};
use conex_engine::{Engine, Made, PodChosen};

use crate::cli::args::value;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::{builtin, flags, images, output};

pub(crate) const VERB: Verb = Verb {
    name: "create",
    aliases: &[],
    about: "Create a pod",
    usage: "[NAME]",
    arity: Arity::AtMost(1),
    examples: "  conex pod create --name web -p 8080:80
  conex run -d --pod web nginx
  conex pod create --share net,ipc,uts,pid --exit-policy stop job
  conex run -d --pod new:db --name postgres postgres:16",
    unsupported: &[
        "--blkio-weight",
        "--cpu-shares",
        "--cpus",
        "--cpuset-cpus",
        "--cpuset-mems",
        "--infra",
        "--infra-command",
        "--infra-conmon-pidfile",
        "--infra-image",
        "--infra-name",
        "--memory",
        "--memory-swap",
        "--replace",
        "--security-opt",
        "--volumes-from",
    ],
    failure: 125,
    define,
    run,
};

/// The flags of `run` that are about what is shared.
const OF_RUN: [&str; 26] = [
    "name",
    "label",
    "label-file",
    "hostname",
    "pid",
    "ipc",
    "uts",
    "userns",
    "sysctl",
    "network",
    "ip",
    "ip6",
    "mac-address",
    "network-alias",
    "netns-link",
    "publish",
    "publish-all",
    "add-host",
    "dns",
    "dns-search",
    "dns-option",
    "volume",
    "mount",
    "shm-size",
    "restart",
    "cgroup-parent",
];

fn define(command: Command) -> Command {
    let of_run = flags::define(Command::new("run"));
    let shared = of_run.get_arguments().filter(|arg| OF_RUN.contains(&arg.get_id().as_str())).cloned();
    command.args(shared).args([
        value("share", "list")
            .help("Namespaces to share: cgroup, ipc, net, pid, uts; none; +pid adds to the default (default ipc,net,uts)"),
        value("exit-policy", "string")
            .help("What becomes of the pod when its last container has ended: continue, stop (default continue)"),
        value("pod-id-file", "path").help("Write the pod ID to the file"),
        clap::Arg::new("pod").value_name("NAME"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let mut options = flags::read(given, context.config()?)?;
    if let Some(name) = given.texts("pod").next() {
        if options.name.is_some() {
            return Err(Error::usage("conflicting options: --name and a name"));
        }
        options.name = Some(name.parse()?);
    }
    let pod = PodOptions {
        shared: given.parsed("share", str::parse)?.unwrap_or_default(),
        exit_policy: given.parsed("exit-policy", str::parse)?.unwrap_or_default(),
    };
    let made = make(context, &context.engine()?, options, pod)?;
    if let Some(path) = given.filled("pod-id-file").map(Path::new) {
        std::fs::write(path, made.id.as_str()).map_err(|source| Error::File {
            action: "write",
            path: path.to_owned(),
            source,
        })?;
    }
    output::line(made.id.as_str())?;
    Ok(0)
}

fn make(context: &Context, engine: &Engine, options: CreateOptions, pod: PodOptions) -> Result<Made, Error> {
    let options = CreateOptions { image: builtin::PAUSE.to_owned(), pull: PullPolicy::Never, ..options };
    let store = context.images()?;
    if images::is_missing(&store, builtin::PAUSE, None) {
        builtin::provide(&store, builtin::PAUSE, None)?;
    }
    let made = engine.create_pod(&options, pod)?;
    made.warnings.iter().for_each(|warning| output::note(format!("WARNING: {warning}")));
    Ok(made)
}

/// Puts a container to be into the pod that `--pod` names, a new one with `new:NAME`. Gives the id of one that was made.
///
/// # Errors
/// A pod that is not there, or options that it excludes.
pub(crate) fn enter(
    context: &Context,
    engine: &Engine,
    given: &Given<'_>,
    options: &mut CreateOptions,
) -> Result<Option<conex_oci::ContainerId>, Error> {
    let Some(pod) = given.filled("pod") else { return Ok(None) };
    let chosen = ["network", "ip", "ip6", "mac-address", "network-alias"];
    let chosen = PodChosen {
        network: chosen.iter().any(|name| given.count(name) > 0),
        restart: given.count("restart") > 0,
    };
    let Some(name) = pod.strip_prefix("new:") else {
        engine.join_pod(options, pod, chosen)?;
        return Ok(None);
    };
    // What is shared is asked of the container, and goes to the pod.
    let spaces = &mut options.namespaces;
    let mut infra = CreateOptions {
        name: (!name.is_empty()).then(|| name.parse()).transpose()?,
        ports: std::mem::take(&mut options.ports),
        ..CreateOptions::default()
    };
    infra.namespaces.network = spaces.network.clone();
    infra.namespaces.hostname = spaces.hostname.take();
    infra.namespaces.dns = std::mem::take(&mut spaces.dns);
    infra.namespaces.dns_search = std::mem::take(&mut spaces.dns_search);
    infra.namespaces.dns_options = std::mem::take(&mut spaces.dns_options);
    infra.namespaces.extra_hosts = std::mem::take(&mut spaces.extra_hosts);
    infra.namespaces.user = spaces.user.clone();
    let made = make(context, engine, infra, PodOptions::default())?;
    spaces.user = conex_engine::options::UserMode::Default;
    let joined = engine.join_pod(options, made.id.as_str(), PodChosen { network: false, ..chosen });
    if joined.is_err() {
        leave(engine, Some(&made.id));
    }
    joined?;
    Ok(Some(made.id))
}

/// Removes a pod whose first container came to nothing.
pub(crate) fn leave(engine: &Engine, pod: Option<&conex_oci::ContainerId>) {
    let Some(pod) = pod else { return };
    if let Err(error) = engine.remove_pod(pod, true, conex_engine::Grace::For(std::time::Duration::ZERO)) {
        output::warning(error);
    }
}
