//! `import`

use std::fs::File;
use std::io::Read;

use clap::{Arg, Command};
use conex_image::ImportOptions;
use conex_image::configure::configure;
use conex_oci::image::ImageConfig;

use crate::cli::args::{list, one, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::{output, terminal};

pub(crate) const VERB: Verb = Verb {
    name: "import",
    aliases: &[],
    about: "Import the contents from a tarball to create a filesystem image",
    usage: "FILE|- [REPOSITORY[:TAG]]",
    arity: Arity::Between(1, 2),
    examples: "  conex import -c 'CMD [\"/bin/sh\"]' rootfs.tar.gz base:1
  conex export web | conex import - web:flat",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        list("change", "list").short('c').help("Apply Dockerfile instruction to the created image"),
        value("message", "string").short('m').help("Set commit message for imported image"),
        value("platform", "string").help("Set platform if server is multi-platform capable"),
        one("file"),
        Arg::new("reference").value_name("REPOSITORY[:TAG]"),
    ])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let file = given.argument("file");
    if ["http://", "https://", "ftp://"].iter().any(|scheme| file.starts_with(scheme)) {
        return Err(Error::Refused(format!(
            "cannot import {file}: this command fetches nothing; use curl -fL URL | conex import - [REPOSITORY[:TAG]]"
        )));
    }
    let mut config = ImageConfig::default();
    configure(&mut config, given.texts("change")).map_err(|error| Error::Refused(error.to_string()))?;
    let options = ImportOptions {
        config,
        message: given.filled("message").map(str::to_owned),
        platform: given.parsed("platform", str::parse)?,
        reference: given.parsed("reference", str::parse)?,
    };
    let images = context.images()?;
    let source: Box<dyn Read> = if file == "-" {
        if terminal::input_is_terminal() {
            let text = "requested import from stdin, but stdin is a terminal; name a file or redirect one";
            return Err(Error::Refused(text.to_owned()));
        }
        Box::new(std::io::stdin().lock())
    } else {
        let failed = |source| Error::File { action: "open", path: file.into(), source };
        Box::new(File::open(file).map_err(failed)?)
    };
    let id = images.import(source, file, options)?.id;
    context.image_event(
        "import",
        id,
        given.filled("reference").map_or_else(|| id.to_string(), str::to_owned),
    );
    output::line(id.to_string())?;
    Ok(0)
}
