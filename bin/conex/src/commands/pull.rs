//! `pull`

use clap::Command;
use conex_oci::Reference;

use crate::cli::args::{flag, one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::{images, output};

pub(crate) const VERB: Verb = Verb {
    name: "pull",
    aliases: &[],
    about: "Download an image from a registry",
    usage: "NAME[:TAG|@DIGEST]",
    arity: Arity::Exactly(1),
    examples: "  conex pull alpine:3.20\n  conex pull --platform linux/arm64 registry.example.com:5000/app@sha256:…",
    unsupported: &["--all-tags", "-a", "--disable-content-trust"],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        flag("quiet").short('q').help("Suppress verbose output"),
        value("platform", "string").help("Set platform if server is multi-platform capable"),
        one("image"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let typed = given.argument("image");
    let reference: Reference = typed.parse()?;
    let platform = given.parsed("platform", str::parse)?;
    let quiet = given.on("quiet");
    let store = context.images()?;
    if !quiet
        && reference.digest().is_none()
        && reference.tag() == Some("latest")
        && !typed.ends_with(":latest")
    {
        output::line("Using default tag: latest")?;
    }
    let pulled = images::pull(&store, &reference, platform.as_ref(), quiet)?;
    if !quiet {
        output::line(format!("Digest: {}", pulled.digest))?;
        output::line(images::status(&pulled, &reference))?;
    }
    output::line(reference.to_string())?;
    Ok(0)
}
