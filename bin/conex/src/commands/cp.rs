//! `cp`: files between a container and the host, or a tar stream, or another container.

use std::path::Path;

use clap::{Arg, Command};
use conex_engine::{Copied, CopyFrom, CopyOptions, CopyTo, Engine};
use conex_oci::ContainerId;

use super::archive_file;
use crate::cli::args::{flag, one};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::format::units::sum;
use crate::{output, terminal};

pub(crate) const VERB: Verb = Verb {
    name: "cp",
    aliases: &[],
    about: "Copy files/folders between a container and the local filesystem",
    usage: "CONTAINER:SRC_PATH DEST_PATH|-, or: conex cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    arity: Arity::Exactly(2),
    examples: "  conex cp web:/etc/nginx ./nginx
  conex cp ./nginx/. web:/etc/nginx
  conex cp web:/var/log - | tar -tv
  tar -c site | conex cp - web:/srv
  conex cp old:/srv/. new:/srv",
    unsupported: &[],
    failure: 1,
    define,
    run,
};

fn define(command: Command) -> Command {
    command.args([
        flag("archive").short('a').help("Archive mode (copy all uid/gid information)"),
        flag("follow-link").short('L').help("Always follow symbol link in SRC_PATH"),
        flag("quiet").short('q').help("Suppress progress output during copy (always, unless in a terminal)"),
        one("source").value_name("SRC_PATH"),
        Arg::new("destination").required(true).value_name("DEST_PATH"),
    ])
}

/// One of the two paths.
enum Side<'a> {
    Container(ContainerId, &'a str),
    Local(&'a str),
    Stream,
}

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let (source, destination) = (given.argument("source"), given.argument("destination"));
    let options = CopyOptions { archive: given.on("archive"), follow_link: given.on("follow-link") };
    let named = [source, destination].map(|text| container(text).is_some());
    if named == [false, false] {
        let why = "must specify at least one container source or destination, as in web:/etc/hosts";
        return Err(Error::Refused(why.to_owned()));
    }
    let engine = context.engine()?;
    let (source, to) = (side(&engine, source)?, side(&engine, destination)?);
    let mut stdin = std::io::stdin();
    let from = match &source {
        Side::Container(id, path) => CopyFrom::Container(id, path.as_bytes()),
        Side::Local(path) => CopyFrom::Local(Path::new(path)),
        Side::Stream if terminal::input_is_terminal() => {
            return Err(Error::Refused(
                "a tar archive was expected on standard input, which is a terminal".to_owned(),
            ));
        }
        Side::Stream => CopyFrom::Tar(&mut stdin),
    };
    let mut copied = Copied::default();
    match &to {
        Side::Container(id, path) => {
            copied = engine.copy(from, CopyTo::Container(id, path.as_bytes()), options)?;
        }
        Side::Local(path) => copied = engine.copy(from, CopyTo::Local(Path::new(path)), options)?,
        Side::Stream => archive_file::write("copy", None, |sink| {
            copied = engine.copy(from, CopyTo::Tar(sink), options)?;
            Ok(())
        })?,
    }
    if copied.skipped > 0 {
        output::warning(format!("{} files were not copied: sockets, or devices", copied.skipped));
    }
    let quiet = given.switch("quiet").unwrap_or(!terminal::output_is_terminal());
    if !quiet && !matches!(to, Side::Stream) {
        output::note(format!("Successfully copied {} to {destination}", sum(copied.bytes)));
    }
    Ok(0)
}

/// Docker's rule: `NAME:PATH` unless it begins as a path does.
fn container(text: &str) -> Option<(&str, &str)> {
    let (name, path) = text.split_once(':')?;
    (!name.starts_with(['/', '.'])).then_some((name, path))
}

fn side<'a>(engine: &Engine, text: &'a str) -> Result<Side<'a>, Error> {
    Ok(match container(text) {
        Some((name, path)) => Side::Container(engine.find(name)?, path),
        None if text == "-" => Side::Stream,
        None => Side::Local(text),
    })
}

#[cfg(test)]
mod tests {
    use super::container;

    #[test]
    fn containers_are_told_from_paths() {
        assert_eq!(container("web:/etc"), Some(("web", "/etc")));
        assert_eq!(container("web:a:b"), Some(("web", "a:b")));
        for path in ["/a:b", "./a:b", "../a:b", "a", "-"] {
            assert_eq!(container(path), None, "{path}");
        }
    }
}
