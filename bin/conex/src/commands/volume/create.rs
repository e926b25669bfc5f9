//! `volume create`

use std::collections::BTreeMap;

use clap::{Arg, Command};
use conex_engine::options::parse_label;
use conex_engine::volumes::NewVolume;

use crate::cli::args::{flag, list, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "create",
    aliases: &[],
    about: "Create a volume",
    usage: "[VOLUME]",
    arity: Arity::Between(0, 1),
    examples: "  conex volume create db
  conex volume create --opt size=10g db
  conex volume create --opt type=tmpfs --opt o=size=100m,uid=1000 scratch
  conex volume create --opt type=nfs --opt device=:/srv --opt o=addr=10.0.0.5,rw,vers=4 share",
    unsupported: &[
        "--availability",
        "--group",
        "--limit-bytes",
        "--required-bytes",
        "--scope",
        "--secret",
        "--sharing",
    ],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        value("driver", "string").short('d').help("Specify volume driver name (default \"local\")"),
        list("label", "list").short('l').help("Set metadata for a volume"),
        value("name", "string").help("Its name, as the argument").hide(true),
        list("opt", "map")
            .short('o')
            .help("Set driver specific options: size=, or type=, device= and o= as for mount(8)"),
        flag("ignore").help("Do not fail when it exists: it never does"),
        Arg::new("volume").value_name("VOLUME"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let mut options = BTreeMap::new();
    for text in given.texts("opt") {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        options.insert(key.to_owned(), value.to_owned());
    }
    let labels = given.texts("label").map(parse_label).collect::<Result<_, _>>()?;
    let asked = NewVolume { options, labels, ..NewVolume::default() };
    let name = match (given.filled("volume"), given.filled("name")) {
        (Some(one), Some(other)) if one != other => {
            let why = "conflicting options: either specify --name or provide positional arg, not both";
            return Err(Error::Refused(why.to_owned()));
        }
        (one, other) => one.or(other),
    };
    let driver = given.filled("driver").unwrap_or("local");
    let volume = context.engine()?.volume_create(name, driver, asked)?;
    output::line(volume.name.as_str())?;
    Ok(0)
}
