//! `create`, and what `run` shares with it: making the container, pulling its image first when it is not there.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use conex_engine::options::{CreateOptions, PullPolicy};
use conex_engine::{Engine, Made, RemoveOptions};

use crate::cli::{Arity, Context, Given, Verb};
use crate::errors::Error;
use crate::{builtin, flags, images, output};

pub(crate) const VERB: Verb = Verb {
    name: "create",
    aliases: &[],
    about: "Create a new container",
    usage: "IMAGE [COMMAND] [ARG...]",
    arity: Arity::AtLeast(1),
    examples: "  conex create --name job alpine:3.20 sleep 60
  conex start -a job",
    unsupported: flags::UNSUPPORTED,
    failure: 125,
    define: flags::define,
    run,
};

fn run(context: &Context, given: &Given<'_>) -> Result<u8, Error> {
    let options = flags::read(given, context.config()?)?;
    let engine = context.engine()?;
    let made = make(context, &engine, given, &options, Engine::create)?;
    output::line(made.id.as_str())?;
    Ok(0)
}

/// Makes the container (`create` is [`Engine::create`], or [`Engine::prepare`] when it is started next) and writes `--cidfile`. The image is looked for when the engine misses it, not before: when it
/// is there nothing is looked up twice.
pub(super) fn make(
    context: &Context,
    engine: &Engine,
    given: &Given<'_>,
    options: &CreateOptions,
    create: fn(&Engine, &CreateOptions) -> Result<Made, conex_engine::Error>,
) -> Result<Made, Error> {
    let cidfile = given.filled("cidfile").map(Path::new).map(CidFile::create).transpose()?;
    let quiet = given.on("quiet");
    if options.pull == PullPolicy::Always {
        images::fetch(&context.images()?, &options.image, options.platform.as_ref(), quiet)?;
    }
    if given.on("replace") {
        replace(engine, options)?;
    }
    // From here on the engine takes what is there; whether to pull is decided here, where progress can be shown.
    let command_line = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut here = CreateOptions { pull: PullPolicy::Never, command_line, ..options.clone() };
    let pod = super::pod::enter(context, engine, given, &mut here)?;
    let made = bring(context, engine, options, &here, quiet, create);
    if made.is_err() {
        super::pod::leave(engine, pod.as_ref());
    }
    let made = made?;
    for warning in &made.warnings {
        output::note(format!("WARNING: {warning}"));
    }
    if let Some(file) = cidfile {
        file.write(made.id.as_str())?;
    }
    Ok(made)
}

/// Makes it; when its image is not here, after having brought that.
fn bring(
    context: &Context,
    engine: &Engine,
    options: &CreateOptions,
    here: &CreateOptions,
    quiet: bool,
    create: fn(&Engine, &CreateOptions) -> Result<Made, conex_engine::Error>,
) -> Result<Made, Error> {
    match create(engine, here) {
        Err(error) if options.pull != PullPolicy::Always => {
            let (store, platform) = (context.images()?, options.platform.as_ref());
            if !images::is_missing(&store, &options.image, platform) {
                return Err(error.into());
            }
            if !builtin::provide(&store, &options.image, platform)? {
                if options.pull == PullPolicy::Never {
                    return Err(error.into());
                }
                images::provide(&store, &options.image, platform, quiet)?;
            }
            Ok(create(engine, here)?)
        }
        other => Ok(other?),
    }
}

/// `--replace`: whoever has the name goes.
fn replace(engine: &Engine, options: &CreateOptions) -> Result<(), Error> {
    let Some(name) = &options.name else {
        return Err(Error::usage("cannot replace container without --name being set (--replace)"));
    };
    match engine.store().named(name)? {
        Some(id) => Ok(engine.remove(&id, RemoveOptions { force: true, volumes: true })?),
        None => Ok(()),
    }
}

/// `--cidfile`: made before the container, so that two runs with one file cannot both go on; removed when nothing
/// comes to stand in it.
struct CidFile<'p> {
    path: &'p Path,
    file: std::fs::File,
    written: bool,
}

impl<'p> CidFile<'p> {
    fn create(path: &'p Path) -> Result<Self, Error> {
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => Ok(Self { path, file, written: false }),
            Err(source) if source.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(Error::Refused(format!(
                    "container ID file found, make sure the other container isn't running or delete {}",
                    path.display()
                )))
            }
            Err(source) => Err(Error::File { action: "create", path: path.to_owned(), source }),
        }
    }

    fn write(mut self, id: &str) -> Result<(), Error> {
        self.file.write_all(id.as_bytes()).map_err(|source| Error::File {
            action: "write",
            path: self.path.to_owned(),
            source,
        })?;
        self.written = true;
        Ok(())
    }
}

impl Drop for CidFile<'_> {
    fn drop(&mut self) {
        if !self.written {
            let _ = std::fs::remove_file(self.path);
        }
    }
}
