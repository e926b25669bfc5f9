//! `man`: manual pages, from the definitions that parse.

use std::path::{Path, PathBuf};

use clap::{Arg, Command};
use clap_mangen::Man;

use crate::cli::{self, Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::output;

pub(crate) const VERB: Verb = Verb {
    name: "man",
    aliases: &[],
    about: "Print the manual page, or write all of them to a directory",
    usage: "[DIRECTORY]",
    arity: Arity::AtMost(1),
    examples: "  conex man | man -l -\n  conex man /usr/local/share/man/man1",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.arg(Arg::new("directory").value_name("DIRECTORY"))
}

fn run(_context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let tree = cli::tree();
    let Some(directory) = given.filled("directory") else {
        return output::text(&render(tree, "conex")?).map(|()| 0);
    };
    let directory = Path::new(directory);
    std::fs::create_dir_all(directory).map_err(|source| Error::File {
        action: "make the directory",
        path: directory.to_owned(),
        source,
    })?;
    write(tree, "conex", directory)?;
    Ok(0)
}

fn render(command: Command, name: &str) -> Result<String, Error> {
    let mut page = Vec::new();
    Man::new(command.name(name.to_owned())).title(name).render(&mut page).map_err(Error::Output)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// The page of a command, and of all below it: `conex-container-ls.1`.
fn write(command: Command, name: &str, directory: &Path) -> Result<(), Error> {
    for sub in command.get_subcommands() {
        write(sub.clone(), &format!("{name}-{}", sub.get_name()), directory)?;
    }
    let path: PathBuf = directory.join(format!("{name}.1"));
    let page = render(command, name)?;
    std::fs::write(&path, page).map_err(|source| Error::File { action: "write", path, source })
}
