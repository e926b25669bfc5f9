//! Which containers a verb is for: those that are named, in files or on the command line, or by podman's `--all` and `--filter`
//! those that are so.

use std::collections::BTreeSet;
use std::path::Path;

use clap::{Arg, ArgAction, Command};
use conex_engine::{Engine, ListFilter};
use conex_oci::ContainerId;

use crate::cli::Given;
use crate::cli::args::{flag, list};
use crate::errors::Error;

/// Which of all containers `--all` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Those {
    /// That do not run.
    AtRest,
    /// That run, are paused, or wait to be restarted.
    Live,
    /// Each.
    Any,
}

/// The containers' names, and the flags that stand for them.
pub(super) fn define(command: Command, all: &'static str) -> Command {
    command.args([
        flag("all").short('a').help(all),
        list("filter", "filter")
            .short('f')
            .help("Choose containers by conditions, as 'conex ps' (name=, label=, …)"),
        containers(),
    ])
}

/// Flags for scripts and service managers.
pub(super) fn files() -> [Arg; 2] {
    [
        list("cidfile", "file").help("Read a container's ID from the file"),
        flag("ignore").short('i').help("Ignore containers, and files, that are not there"),
    ]
}

/// None need be given when flags stand for them.
pub(super) fn containers() -> Arg {
    Arg::new("container").num_args(1..).action(ArgAction::Append).value_name("container")
}

/// Does the same to each; prints its name, or the error, and goes on. 1 when one failed. Containers that others join come before
/// these, to be started, and after them, with `backwards`, to be stopped; then those that do not join each other are done with at once.
pub(super) fn each(
    engine: &Engine,
    given: &Given<'_>,
    (those, backwards): (Those, bool),
    act: impl Fn(&Engine, &ContainerId) -> Result<(), Error> + Sync,
) -> Result<u8, Error> {
    let mut all = named(engine, given)?;
    let mut chosen = chosen(engine, given, those)?;
    if !backwards {
        chosen = engine.in_waves(&chosen)?.concat();
    }
    all.extend(chosen.into_iter().map(|id| (id.to_string(), Ok(id))));
    if !backwards || all.len() < 2 {
        return tell(all, |id| act(engine, id));
    }
    let ids: BTreeSet<_> = all.iter().filter_map(|(_, found)| found.as_ref().ok().cloned()).collect();
    let mut waves = engine.in_waves(&ids.into_iter().collect::<Vec<_>>())?;
    let mut code = 0;
    while let Some(wave) = waves.pop() {
        let wave: BTreeSet<_> = wave.into_iter().collect();
        let (now, rest) =
            all.into_iter().partition(|(_, found)| matches!(found, Ok(id) if wave.contains(id)));
        all = rest;
        code = code.max(at_once(engine, now, &act)?);
    }
    // What was not found is told with its name.
    Ok(code.max(tell(all, |_| Ok(()))?))
}

/// To all of them at the same time.
fn at_once(
    engine: &Engine,
    all: Vec<Found>,
    act: &(impl Fn(&Engine, &ContainerId) -> Result<(), Error> + Sync),
) -> Result<u8, Error> {
    if all.len() < 2 {
        return tell(all, |id| act(engine, id));
    }
    let (names, ids): (Vec<_>, Vec<_>) =
        all.into_iter().filter_map(|(name, found)| Some((name, found.ok()?))).unzip();
    let mut code = 0;
    engine.at_once(&ids, act, |place, done| {
        let name = &names[place];
        // One that panicked has said so.
        let internal = |_| Err(Error::Refused(format!("container {name}: internal error")));
        let told = super::each([done.unwrap_or_else(internal)], |done| done.map(|()| Some(name.clone())));
        code = code.max(told?);
        Ok(())
    })?;
    Ok(code)
}

/// A name as it was given, and the container of that name.
type Found = (String, Result<ContainerId, Error>);

fn tell(all: Vec<Found>, act: impl Fn(&ContainerId) -> Result<(), Error>) -> Result<u8, Error> {
    super::each(all, |(name, found)| {
        act(&found?)?;
        Ok(Some(name))
    })
}

/// Those of the command line and of files.
fn named(engine: &Engine, given: &Given<'_>) -> Result<Vec<Found>, Error> {
    let (ignore, chosen) = (given.on("ignore"), is_chosen(given));
    let mut names: Vec<String> = given.texts("container").map(str::to_owned).collect();
    if chosen && !names.is_empty() {
        return Err(Error::usage("conflicting options: --all or --filter, and containers by name"));
    }
    for path in given.texts("cidfile").map(Path::new) {
        match std::fs::read_to_string(path) {
            Ok(text) => names.push(text.trim().to_owned()),
            Err(error) if ignore && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::File { action: "read", path: path.to_owned(), source }),
        }
    }
    let mut found = Vec::new();
    for name in names {
        match engine.find(&name) {
            Err(conex_engine::Error::NoSuchContainer { .. }) if ignore => {}
            id => found.push((name, id.map_err(Error::from))),
        }
    }
    Ok(found)
}

fn is_chosen(given: &Given<'_>) -> bool {
    given.on("all") || given.on("running") || given.count("filter") > 0
}

/// Those that are so, the oldest first.
fn chosen(engine: &Engine, given: &Given<'_>, those: Those) -> Result<Vec<ContainerId>, Error> {
    if !is_chosen(given) {
        return Ok(Vec::new());
    }
    let mut filter = ListFilter::default();
    filter.all = true;
    for text in given.texts("filter") {
        filter.add(text)?;
    }
    let fits = |state: &str| match those {
        Those::Any => true,
        Those::Live => matches!(state, "running" | "paused" | "restarting"),
        Those::AtRest => matches!(state, "created" | "exited"),
    };
    let list = engine.list(&filter)?.into_iter().rev();
    Ok(list.filter(|container| fits(container.state)).map(|container| container.id).collect())
}
