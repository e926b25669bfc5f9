//! `tag`

use clap::Command;

use crate::cli::args::one;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "tag",
    aliases: &[],
    about: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    arity: Arity::Exactly(2),
    examples: "  conex tag alpine:3.20 registry.example.com/base:1",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([one("source"), one("target")])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let target: conex_oci::Reference = given.argument("target").parse()?;
    if target.digest().is_some() {
        return Err(Error::Refused("refusing to create a tag with a digest reference".to_owned()));
    }
    let images = context.images()?;
    images.tag(given.argument("source"), &target)?;
    let id = images.resolve(&target.to_string(), None)?.id;
    context.image_event("tag", id, target.familiar());
    Ok(0)
}
