//! `image verify`: reads images and says whether they are what they are called.

use clap::{Arg, ArgAction};

use crate::cli::args::flag;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "verify",
    aliases: &[],
    about: "Check that images are what their digests say, blobs and unpacked layers",
    usage: "[IMAGE...]",
    arity: Arity::AtLeast(0),
    examples: "  conex image verify alpine:3.20\n  conex image verify --quiet || echo damaged",
    unsupported: &[],
    failure: 1,
    define: |command| {
        command.args([
            flag("quiet").short('q').help("Only say what is damaged"),
            Arg::new("image").num_args(0..).action(ArgAction::Append).value_name("IMAGE"),
        ])
    },
    run: verify,
};

fn verify(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let images = context.images()?;
    let mut wanted = Vec::new();
    for name in given.texts("image") {
        wanted.push(images.resolve(name, None)?);
    }
    if wanted.is_empty() {
        let all = images.list(&conex_image::Filter::default())?;
        let mut ids: Vec<String> = all.iter().map(|summary| summary.id().to_string()).collect();
        ids.dedup();
        for id in ids {
            wanted.push(images.resolve(&id, None)?);
        }
    }
    let mut damaged = false;
    for image in wanted {
        let verified = images.verify(&image)?;
        let name =
            images.names(&image)?.first().map_or_else(|| image.id.short(), conex_oci::Reference::familiar);
        for fault in &verified.faults {
            damaged = true;
            output::line(format!("{name}: {fault}"))?;
        }
        if verified.faults.is_empty() && !given.on("quiet") {
            let unchecked = match verified.unchecked {
                0 => String::new(),
                count => format!(", {count} layers are directories and were not checked"),
            };
            output::line(format!(
                "{name}: ok ({} blobs, {} layers{unchecked})",
                verified.blobs, verified.layers
            ))?;
        }
    }
    Ok(u8::from(damaged))
}
