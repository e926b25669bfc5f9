//! The flags of `run` and `create`, one file a subject: how they are defined, and how they become [`CreateOptions`].
//!
//! Docker's flags that Conex does not have yet are listed in [`UNSUPPORTED`]: using one is an error with its name,
//! never silence.

mod health;
pub(crate) mod limits;
mod namespaces;
mod network;
mod process;
mod security;
mod storage;
mod supervision;

use std::collections::BTreeMap;

use clap::{Arg, Command};
use conex_engine::CreateOptions;
use conex_engine::options::{Attached, parse_label, read_env_file, read_label_file, resolve_env};

use crate::cli::Given;
use crate::cli::args::{flag, list, value, words};
use crate::config::Config;
use crate::errors::Error;

pub(crate) use supervision::seconds;

/// Flags of Docker's that are refused by name.
pub(crate) const UNSUPPORTED: &[&str] = &[
    "--link",
    "--link-local-ip",
    "--runtime",
    "--cpu-count",
    "--cpu-percent",
    "--io-maxbandwidth",
    "--io-maxiops",
    "--use-api-socket",
];

/// The flags that `run` and `create` share, and `IMAGE [COMMAND] [ARG...]`.
pub(crate) fn define(command: Command) -> Command {
    command
        .args(general())
        .args(process::define())
        .args(storage::define())
        .args(limits::define())
        .args(namespaces::define())
        .args(network::define())
        .args(security::define())
        .args(supervision::define())
        .args(health::define())
        .arg(words("words", "IMAGE"))
}

fn general() -> Vec<Arg> {
    vec![
        list("attach", "list").short('a').help("Attach to STDIN, STDOUT or STDERR"),
        value("name", "string").help("Assign a name to the container"),
        value("pod", "string").help("Run the container in a pod (NAME, new:NAME)"),
        flag("replace").help("If a container with the same name exists, replace it"),
        value("cidfile", "string").help("Write the container ID to the file"),
        value("pull", "string")
            .help("Pull image before creating (\"always\", \"missing\", \"never\") (default \"missing\")"),
        value("platform", "string").help("Set platform if server is multi-platform capable"),
        flag("quiet").short('q').help("Suppress the pull output"),
        flag("rm")
            .help("Automatically remove the container and its associated anonymous volumes when it exits"),
        list("label", "list").short('l').help("Set meta data on a container"),
        list("label-file", "list").help("Read in a line delimited file of labels"),
        list("annotation", "map")
            .help("Add an annotation to the container (passed through to the OCI runtime)"),
        value("isolation", "string").help("Container isolation technology (default)"),
        flag("disable-content-trust").help("Skip image verification (default true)"),
    ]
}

/// What the flags ask for, and the configuration where they say nothing.
///
/// # Errors
/// A value that does not parse, flags that exclude each other, a file that cannot be read.
pub(crate) fn read(given: &Given<'_>, config: &Config) -> Result<CreateOptions, Error> {
    check_choices(given)?;
    let mut words = given.texts("words").map(str::to_owned);
    let image = words.next().unwrap_or_default();
    let options = CreateOptions {
        image,
        name: given.parsed("name", str::parse)?,
        platform: given.parsed("platform", str::parse)?,
        pull: given.parsed("pull", str::parse)?.unwrap_or_default(),
        auto_remove: given.on("rm"),
        interactive: given.on("interactive"),
        tty: given.on("tty"),
        attached: attached(given)?,
        labels: labels(given)?,
        annotations: given.texts("annotation").map(parse_label).collect::<Result<_, _>>()?,
        process: process::read(given, config, words.collect())?,
        namespaces: namespaces::read(given, config)?,
        ports: network::ports(given)?,
        storage: storage::read(given, config)?,
        limits: limits::read(given, config)?,
        security: security::read(given, config)?,
        supervision: supervision::read(given, config)?,
        pod: None,
        command_line: Vec::new(),
    };
    if options.auto_remove && options.supervision.restart != Default::default() {
        return Err(Error::usage("conflicting options: cannot specify both --restart and --rm"));
    }
    Ok(options)
}

/// `-a` chooses streams, and `-i` adds standard input. Nobody is on what `-d` runs.
fn attached(given: &Given<'_>) -> Result<Option<Attached>, Error> {
    let chosen = chosen(given)?;
    if given.on("detach") {
        return Ok(Some(Attached::default()));
    }
    Ok(chosen.map(|streams| Attached { stdin: streams.stdin || given.on("interactive"), ..streams }))
}

/// The streams of `-a`.
///
/// # Errors
/// A word that is no stream's.
pub(crate) fn chosen(given: &Given<'_>) -> Result<Option<Attached>, Error> {
    let mut chosen = None;
    for text in given.texts("attach") {
        let streams: &mut Attached = chosen.get_or_insert_default();
        match text.to_ascii_lowercase().as_str() {
            "stdin" => streams.stdin = true,
            "stdout" => streams.stdout = true,
            "stderr" => streams.stderr = true,
            other => {
                return Err(Error::usage(format!(
                    "invalid argument {other:?} for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR"
                )));
            }
        }
    }
    Ok(chosen)
}

/// Docker's flags that leave a choice of one here.
fn check_choices(given: &Given<'_>) -> Result<(), Error> {
    if let Some(isolation) = given.filled("isolation").filter(|text| *text != "default") {
        return Err(Error::usage(format!(
            "invalid argument {isolation:?} for \"--isolation\" flag: only \"default\" is there on Linux"
        )));
    }
    if given.switch("disable-content-trust") == Some(false) {
        return Err(Error::usage(
            "--disable-content-trust=false: signatures of Docker Content Trust (Notary) are not supported",
        ));
    }
    Ok(())
}

/// Those of files first, as with the environment.
fn labels(given: &Given<'_>) -> Result<BTreeMap<String, String>, Error> {
    let mut labels = BTreeMap::new();
    for path in given.texts("label-file") {
        labels.extend(read_label_file(path.as_ref())?);
    }
    for text in given.texts("label") {
        labels.extend([parse_label(text)?]);
    }
    Ok(labels)
}

/// `--env-file`, then `-e`: what stands later wins in the container.
pub(crate) fn environment(given: &Given<'_>) -> Result<Vec<String>, Error> {
    let own = |name: &str| std::env::var(name).ok();
    let mut list = Vec::new();
    for path in given.texts("env-file") {
        list.extend(read_env_file(path.as_ref(), own)?);
    }
    for text in given.texts("env") {
        list.push(resolve_env(text, own)?);
    }
    Ok(list)
}

/// The flags of the environment, which `exec` has too.
pub(crate) fn environment_args() -> [Arg; 2] {
    [
        list("env", "list").short('e').help("Set environment variables"),
        list("env-file", "list").help("Read in a file of environment variables"),
    ]
}

/// A flag of one subject of `run`'s help.
fn under(heading: &'static str, args: Vec<Arg>) -> Vec<Arg> {
    args.into_iter().map(|arg| arg.help_heading(heading)).collect()
}

#[cfg(test)]
mod tests;
