//! What runs: `--entrypoint -e -w -u -i -t --init --ulimit`.

use clap::Arg;
use conex_engine::options::{ProcessOptions, Ulimit, parse_oom_score_adj};

use super::{environment, environment_args, under};
use crate::cli::Given;
use crate::cli::args::{flag, list, value};
use crate::config::Config;
use crate::errors::Error;

pub(super) fn define() -> Vec<Arg> {
    let mut args = vec![
        flag("interactive").short('i').help("Keep STDIN open even if not attached"),
        flag("tty").short('t').help("Allocate a pseudo-TTY"),
        value("entrypoint", "string").help("Overwrite the default ENTRYPOINT of the image"),
        value("workdir", "string").short('w').help("Working directory inside the container"),
        value("user", "string").short('u').help("Username or UID (format: <name|uid>[:<group|gid>])"),
        list("group-add", "list").help("Add additional groups to join"),
        flag("init").help("Run an init inside the container that forwards signals and reaps processes"),
        list("ulimit", "ulimit").help("Ulimit options (name=soft[:hard])"),
        value("oom-score-adj", "int").help("Tune the host's OOM preferences (-1000 to 1000)"),
    ];
    args.extend(environment_args());
    under("Process", args)
}

pub(super) fn read(
    given: &Given<'_>,
    config: &Config,
    command: Vec<String>,
) -> Result<ProcessOptions, Error> {
    let mut ulimits: Vec<Ulimit> = config.run.ulimits.clone().unwrap_or_default();
    for text in given.texts("ulimit") {
        let ulimit: Ulimit = text.parse()?;
        ulimits.retain(|known| known.name != ulimit.name);
        ulimits.push(ulimit);
    }
    Ok(ProcessOptions {
        entrypoint: given.text("entrypoint").map(str::to_owned),
        command,
        env: environment(given)?,
        workdir: given.filled("workdir").map(str::to_owned),
        user: given.filled("user").map(str::to_owned),
        groups: given.texts("group-add").map(str::to_owned).collect(),
        init: given.switch("init").or(config.run.init).unwrap_or(false),
        ulimits,
        oom_score_adj: given.parsed("oom-score-adj", parse_oom_score_adj)?,
    })
}
