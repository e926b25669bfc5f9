//! `save`

use std::path::Path;

use clap::Command;
use conex_image::{Compression, Format, SaveOptions};

use super::archive_file;
use crate::cli::args::{many, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;

pub(crate) const VERB: Verb = Verb {
    name: "save",
    aliases: &[],
    about: "Save one or more images to a tar archive (streamed to STDOUT by default)",
    usage: "IMAGE [IMAGE...]",
    arity: Arity::AtLeast(1),
    examples: "  conex save -o alpine.tar alpine:3.20
  conex save --format oci-archive --compression zstd alpine:3.20 > alpine.oci.tar.zst",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        value("output", "string").short('o').help("Write to a file, instead of STDOUT"),
        value("platform", "string").help("Save only the given platform (os/arch[/variant])"),
        value("format", "string")
            .help("Form of the archive: docker, oci-archive, oci-dir, docker-archive (default docker)"),
        value("compression", "string").help("Around the archive: none, gzip, zstd (default none)"),
        many("image"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let options = SaveOptions {
        format: given
            .parsed("format", |text| text.parse::<Format>().map_err(Error::Usage))?
            .unwrap_or_default(),
        compression: given.parsed("compression", compression)?.unwrap_or_default(),
        platform: given.parsed("platform", str::parse)?,
    };
    let names: Vec<&str> = given.texts("image").collect();
    let images = context.images()?;
    let note = || {
        for name in &names {
            if let Ok(image) = images.resolve(name, options.platform.as_ref()) {
                context.image_event("save", image.id, name);
            }
        }
    };
    match (given.filled("output"), options.format) {
        (Some(path), Format::OciDir) => images.save_dir(&names, &options, Path::new(path))?,
        (None, Format::OciDir) => {
            return Err(Error::usage("--format oci-dir needs a directory: give it with --output"));
        }
        (path, _) => archive_file::write("save", path, |sink| Ok(images.save(&names, &options, sink)?))?,
    }
    note();
    Ok(0)
}

fn compression(text: &str) -> Result<Compression, Error> {
    match text {
        "none" => Ok(Compression::None),
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        _ => Err(Error::usage(format!(
            "invalid argument {text:?} for \"--compression\" flag: expected none, gzip or zstd"
        ))),
    }
}
