//! `volume import`

use std::fs::File;
use std::io::Read;

use clap::{Arg, Command};

use crate::cli::args::one;
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::terminal;

pub(crate) const VERB: Verb = Verb {
    name: "import",
    aliases: &[],
    about: "Import a tar archive's files into a volume, over what it has",
    usage: "VOLUME [FILE|-]",
    arity: Arity::Between(1, 2),
    examples: "  conex volume import db db.tar.zst\n  tar -C /srv/data -c . | conex volume import db -",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([one("volume"), Arg::new("file").value_name("FILE|-")])
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let file = given.filled("file").unwrap_or("-");
    let source: Box<dyn Read + Send> = if file == "-" {
        if terminal::input_is_terminal() {
            let text = "requested import from stdin, but stdin is a terminal; name a file or redirect one";
            return Err(Error::Refused(text.to_owned()));
        }
        Box::new(std::io::stdin())
    } else {
        let failed = |source| Error::File { action: "open", path: file.into(), source };
        Box::new(File::open(file).map_err(failed)?)
    };
    context.engine()?.volume_import(given.argument("volume"), source)?;
    Ok(0)
}
