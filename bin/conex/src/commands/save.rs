//! `save`

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Command;
use conex_image::{Compression, Format, SaveOptions};

use crate::cli::args::{many, value};
use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::terminal;

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
    match (given.filled("output"), options.format) {
        (Some(path), Format::OciDir) => images.save_dir(&names, &options, Path::new(path))?,
        (None, Format::OciDir) => {
            return Err(Error::usage("--format oci-dir needs a directory: give it with --output"));
        }
        (Some(path), _) => {
            let output = Output::create(Path::new(path))?;
            images.save(&names, &options, BufWriter::new(&output.file))?;
            output.commit()?;
        }
        (None, _) if terminal::output_is_terminal() => {
            return Err(Error::Refused(
                "cowardly refusing to save to a terminal; use the -o flag or redirect".to_owned(),
            ));
        }
        (None, _) => {
            let mut out = std::io::stdout().lock();
            images.save(&names, &options, &mut out)?;
            out.flush().map_err(Error::Output)?;
        }
    }
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

/// A file that appears under its name when it is whole, and not at all when saving fails. What is no regular file
/// (`/dev/stdout`, a pipe) is written as it is.
struct Output {
    file: File,
    path: PathBuf,
    temporary: Option<PathBuf>,
}

impl Output {
    fn create(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File { action: "write", path: path.to_owned(), source };
        if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
            let file = File::options().write(true).open(path).map_err(failed)?;
            return Ok(Self { file, path: path.to_owned(), temporary: None });
        }
        // A killed save has left its own, and its number may be this one's now.
        for attempt in 0_u32.. {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{}-{attempt}.part", std::process::id()));
            let temporary = path.with_file_name(name);
            match File::create_new(&temporary) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                file => {
                    let file = file.map_err(failed)?;
                    return Ok(Self { file, path: path.to_owned(), temporary: Some(temporary) });
                }
            }
        }
        unreachable!("there are more numbers than files")
    }

    fn commit(mut self) -> Result<(), Error> {
        if let Some(temporary) = &self.temporary {
            std::fs::rename(temporary, &self.path).map_err(|source| Error::File {
                action: "write",
                path: self.path.clone(),
                source,
            })?;
            self.temporary = None;
        }
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = std::fs::remove_file(temporary);
        }
    }
}
