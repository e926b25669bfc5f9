//! `pod`: containers that share namespaces.

mod create;
mod inspect;
mod life;
mod list;
mod remove;

pub(super) use create::VERB as CREATE;
pub(super) use create::{enter, leave};
pub(super) use inspect::{EXISTS, VERB as INSPECT};
pub(super) use life::{KILL, PAUSE, RESTART, START, STOP, TOP, UNPAUSE};
pub(super) use list::VERB as LIST;
pub(super) use remove::{PRUNE, VERB as REMOVE};

use clap::Command;
use conex_engine::{Engine, PodFilter};
use conex_oci::ContainerId;

use crate::cli::args::{flag, many};
use crate::cli::{Context, Given};
use crate::commands;
use crate::errors::Error;

/// `-a`, and pods by name.
fn several(command: Command) -> Command {
    command.args([flag("all").short('a').help("All pods"), many("pod").required(false)])
}

/// Does the same to each pod named, or to all; prints the id, or the error, and goes on. 1 when one failed.
fn each(
    context: &Context,
    given: &Given<'_>,
    act: impl Fn(&Engine, &ContainerId) -> Result<(), Error>,
) -> Result<u8, Error> {
    let engine = context.engine()?;
    let names: Vec<String> = match (given.on("all"), given.count("pod")) {
        (true, 0) => engine.pods(&PodFilter::default())?.into_iter().map(|pod| pod.id.to_string()).collect(),
        (false, 1..) => given.texts("pod").map(str::to_owned).collect(),
        (true, _) => return Err(Error::usage("conflicting options: --all and names of pods")),
        (false, 0) => return Err(Error::usage("which pod? Name one, or take --all")),
    };
    commands::each(names, |name| {
        let id = engine.find_pod(&name)?;
        act(&engine, &id)?;
        Ok(Some(id.to_string()))
    })
}
