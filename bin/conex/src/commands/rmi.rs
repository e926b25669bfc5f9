//! `rmi`, also `image rm`.

use clap::Command;
use conex_engine::{Engine, ListFilter};
use conex_image::Usage;
use conex_oci::Digest;

use crate::cli::args::{flag, many};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "rmi",
    aliases: &[],
    about: "Remove one or more images",
    usage: "IMAGE [IMAGE...]",
    arity: Arity::AtLeast(1),
    examples: "  conex rmi alpine:3.20\n  conex rmi -f $(conex images -q)",
    unsupported: &["--platform"],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        flag("force").short('f').help("Force removal of the image"),
        flag("no-prune").help("Do not delete untagged parents"),
        many("image"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let engine = context.engine()?;
    let images = context.images()?;
    let force = given.on("force");
    let mut code = 0;
    for name in given.texts("image") {
        match images.remove(name, force, &|image| users(&engine, image)) {
            Ok(lines) => lines.iter().try_for_each(|line| output::line(line.to_string()))?,
            Err(error) => {
                Error::from(error).tell();
                code = 1;
            }
        }
    }
    Ok(code)
}

/// The containers in the way.
fn users(engine: &Engine, image: &Digest) -> Vec<Usage> {
    let ids = engine.image_users(image).unwrap_or_default();
    if ids.is_empty() {
        return Vec::new();
    }
    let running = engine.list(&ListFilter::default()).unwrap_or_default();
    ids.iter()
        .map(|id| Usage {
            container: id.short().to_owned(),
            running: running.iter().any(|container| container.id == *id),
        })
        .collect()
}
