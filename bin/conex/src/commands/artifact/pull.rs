//! `artifact pull`

use std::path::Path;

use clap::Command;
use conex_oci::Reference;
use conex_registry::PulledFile;

use crate::cli::args::{flag, one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "pull",
    aliases: &[],
    about: "Download an artifact's files from a registry",
    usage: "NAME[:TAG|@DIGEST]",
    arity: Arity::Exactly(1),
    examples: "  conex artifact pull --output sbom registry.example.com/app:sbom",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        value("output", "directory").short('o').help("Write the files below this directory (default: here)"),
        flag("quiet").short('q').help("Print nothing but errors"),
        one("name"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let reference: Reference = given.argument("name").parse()?;
    let directory = Path::new(given.filled("output").unwrap_or("."));
    let quiet = given.on("quiet");
    let tell = |file: &PulledFile| {
        if !quiet {
            let short = file.descriptor.digest.short();
            output::note(match &file.name {
                Some(name) => format!("Downloaded {short} {name}"),
                None => format!("Skipped    {short} (it has no file name)"),
            });
        }
    };
    let resolved = context.registries().pull_artifact(&reference, directory, &tell)?;
    if !quiet {
        output::line(format!("Pulled {reference}"))?;
        output::line(format!("Digest: {}", resolved.descriptor.digest))?;
    }
    Ok(0)
}
