//! `rmi`, also `image rm`.

use std::cell::RefCell;

use clap::Command;
use conex_image::{Removed, Usage};
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
        let unknown = RefCell::new(None);
        let in_use = |image: &Digest| {
            engine.image_users(image).unwrap_or_else(|error| {
                unknown.replace(Some(Error::from(error)));
                // Whoever cannot be asked is taken to be using it.
                vec![Usage { container: "unknown".to_owned(), running: true }]
            })
        };
        let removed = images.remove(name, force, &in_use).map_err(Error::from);
        match unknown.into_inner().map_or(removed, Err) {
            Ok(lines) => {
                for line in &lines {
                    match line {
                        Removed::Untagged { name, id } => context.image_event("untag", id, name),
                        Removed::Deleted(id) => context.image_event("delete", id, id),
                    }
                    output::line(line.to_string())?;
                }
            }
            Err(error) => {
                error.tell();
                code = 1;
            }
        }
    }
    Ok(code)
}
