//! `pod rm`, `pod prune`.

use conex_engine::{Grace, PodFilter};

use super::{each, several};
use crate::cli::args::{flag, list, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::commands;
use crate::commands::prune::confirmed;
use crate::commands::stop::grace;
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "rm",
    aliases: &["remove"],
    about: "Remove one or more pods with their containers",
    usage: "[POD...]",
    arity: Arity::AtLeast(0),
    examples: "  conex pod rm web\n  conex pod rm -f -t 2 --all",
    unsupported: &["--pod-id-file"],
    failure: 1,
    define: |command| {
        several(command).args([
            flag("force").short('f').help("Stop running containers first"),
            flag("ignore").short('i').help("Pods that are not there are no error"),
            value("timeout", "int")
                .short('t')
                .alias("time")
                .help("Seconds to wait before killing a container (default 10)"),
        ])
    },
    run,
};

pub(crate) const PRUNE: Verb = Verb {
    name: "prune",
    aliases: &[],
    about: "Remove all pods in which nothing runs",
    usage: "",
    arity: Arity::None,
    examples: "  conex pod prune -f",
    define: |command| {
        command.args([
            flag("force").short('f').help("Do not prompt for confirmation"),
            list("filter", "filter").help("Provide filter values (label=<key>=<value>, name=)"),
        ])
    },
    run: prune,
    ..VERB
};

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let (force, grace) = (given.on("force"), grace(given)?);
    if given.on("ignore") {
        let engine = context.engine()?;
        let is_there = |name: &&str| engine.find_pod(name).is_ok();
        return commands::each(given.texts("pod").filter(is_there), |name| {
            let id = engine.find_pod(name)?;
            engine.remove_pod(&id, force, grace)?;
            Ok(Some(id.to_string()))
        });
    }
    each(context, given, |engine, id| Ok(engine.remove_pod(id, force, grace)?))
}

fn prune(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let mut filter = PodFilter::default();
    given.texts("filter").try_for_each(|text| filter.add(text))?;
    if !confirmed(
        given,
        "WARNING! This will remove all pods in which nothing runs.\nAre you sure you want to continue?",
    )? {
        return Ok(0);
    }
    let engine = context.engine()?;
    commands::each(engine.pods(&filter)?, |pod| {
        let mut states = pod.containers.iter().map(|(_, _, state)| *state);
        let is_live = states.clone().any(|state| !matches!(state, "created" | "exited"));
        // One that has never run was perhaps just made.
        if is_live || states.all(|state| state == "created") {
            return Ok(None);
        }
        engine.remove_pod(&pod.id, false, Grace::Default)?;
        Ok(Some(pod.id.to_string()))
    })
}
