//! `load`

use std::path::Path;

use clap::Command;
use conex_image::{LoadOptions, Loaded, Source};

use crate::cli::args::{flag, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::{output, progress, terminal};

pub(crate) const VERB: Verb = Verb {
    name: "load",
    aliases: &[],
    about: "Load an image from an OCI archive, an OCI layout, a docker-archive or STDIN",
    usage: "",
    arity: Arity::None,
    examples: "  conex load -i alpine-3.20.oci.tar\n  zstdcat image.tar.zst | conex load",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        value("input", "string")
            .short('i')
            .help("Read from a tar archive file or an OCI layout directory, instead of STDIN"),
        flag("quiet").short('q').help("Suppress the load output"),
        value("platform", "string").help("Load only the given platform (os/arch[/variant])"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let options = LoadOptions { name: None, platform: given.parsed("platform", str::parse)? };
    let input = given.filled("input").filter(|input| *input != "-");
    if input.is_none() && terminal::input_is_terminal() {
        return Err(Error::Refused(
            "requested load from stdin, but stdin is a terminal; give a file with -i or redirect one"
                .to_owned(),
        ));
    }
    let source = match input {
        Some(path) => Source::Path(Path::new(path)),
        None => Source::Stream { reader: Box::new(std::io::stdin().lock()), name: "stdin".to_owned() },
    };
    let images = context.images()?;
    let shown = progress::start(given.on("quiet"));
    let all = images.load(source, &options, &*shown)?;
    // The bars draw over what is printed while they are there.
    drop(shown);
    for loaded in &all {
        let name = loaded
            .names
            .first()
            .map_or_else(|| loaded.image.id.to_string(), |name| name.familiar().to_string());
        context.image_event("load", loaded.image.id, name);
        print(loaded)?;
    }
    Ok(0)
}

fn print(loaded: &Loaded) -> Result<(), Error> {
    if loaded.names.is_empty() {
        return output::line(format!("Loaded image ID: {}", loaded.image.id));
    }
    loaded.names.iter().try_for_each(|name| output::line(format!("Loaded image: {}", name.familiar())))
}
