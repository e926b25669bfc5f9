//! What a container writes, kept: the supervisor's side writes ([`Sink`]), `logs` reads ([`read`]).
//!
//! Output is cut into lines as Docker cuts it: at newlines, and at 16 KiB when none comes; a line that is unfinished at
//! the end is kept as it is. At most one unfinished line a stream is held in memory.

mod journal;
mod json;
mod lines;
pub mod read;

use std::collections::BTreeMap;
use std::path::Path;

pub use json::JsonFile;

use crate::options::{LogDriver, LogOptions};
use crate::store::Record;
use crate::time::Time;
use crate::{Error, LogStream, Result};
use journal::Journal;
use lines::Lines;

/// Where the journal listens.
pub const JOURNAL: &str = "/run/systemd/journal/socket";

/// Settles which driver it will be, at create: `journald-if-present` becomes one of the two.
///
/// # Errors
/// [`Error::NoJournal`] for `journald` without a journal.
pub fn settle(options: &LogOptions) -> Result<LogOptions> {
    let present = Path::new(JOURNAL).exists();
    let driver = match options.driver {
        LogDriver::Journald if !present => return Err(Error::NoJournal { path: JOURNAL.into() }),
        LogDriver::JournaldIfPresent if present => LogDriver::Journald,
        LogDriver::JournaldIfPresent => LogDriver::JsonFile,
        settled => settled,
    };
    Ok(LogOptions { driver, ..options.clone() })
}

/// What the log options say that each line is to carry.
fn attributes(record: &Record, env: &[String]) -> BTreeMap<String, String> {
    let options = &record.options.supervision.log;
    let labels =
        options.labels.iter().filter_map(|name| Some((name.clone(), record.labels.get(name)?.clone())));
    let mut attributes: BTreeMap<String, String> = labels.collect();
    for name in &options.env {
        // The last one counts, as for the program.
        let mut values = env.iter().rev().filter_map(|pair| pair.split_once('='));
        if let Some((name, value)) = values.find(|(other, _)| other == name) {
            attributes.insert(name.to_owned(), value.to_owned());
        }
    }
    if let Some(tag) = &options.tag {
        let image = record.image_id.to_string();
        let short = image.strip_prefix("sha256:").unwrap_or(&image);
        let tag = tag
            .replace("{{.ID}}", record.id.short())
            .replace("{{.FullID}}", record.id.as_str())
            .replace("{{.Name}}", record.name.as_str())
            .replace("{{.ImageID}}", &short[..short.len().min(12)])
            .replace("{{.ImageFullID}}", &image)
            .replace("{{.ImageName}}", &record.image);
        attributes.insert("tag".to_owned(), tag);
    }
    attributes
}

/// Takes a container's output to where its log driver says.
#[derive(Debug)]
pub struct Sink {
    target: Target,
    stdout: Lines,
    stderr: Lines,
}

#[derive(Debug)]
enum Target {
    None,
    Json(JsonFile),
    Journal(Journal),
}

impl Sink {
    /// Opens the log of a container, whose directory is `directory`; `env` is what its program has.
    ///
    /// # Errors
    /// [`Error::Write`], [`Error::NoJournal`].
    pub fn open(record: &Record, env: &[String], directory: &Path) -> Result<Self> {
        let options = &record.options.supervision.log;
        let target = match options.driver {
            LogDriver::None => Target::None,
            LogDriver::JsonFile | LogDriver::JournaldIfPresent => {
                let file = JsonFile::open(directory, options)?;
                Target::Json(file.with_attributes(&attributes(record, env)))
            }
            LogDriver::Journald => Target::Journal(Journal::open(record)?),
        };
        Ok(Self { target, stdout: Lines::default(), stderr: Lines::default() })
    }

    /// One that keeps nothing.
    pub fn none() -> Self {
        Self { target: Target::None, stdout: Lines::default(), stderr: Lines::default() }
    }

    /// Takes output. A log that cannot be written (a full disk) never stops the container: what does not fit is lost.
    pub fn write(&mut self, stream: LogStream, bytes: &[u8]) {
        let lines = match stream {
            LogStream::Stdout => &mut self.stdout,
            LogStream::Stderr => &mut self.stderr,
        };
        match &mut self.target {
            Target::None => {}
            Target::Json(file) => {
                let now = Time::now();
                lines.feed(bytes, |line| file.line(stream, line, now));
                file.flush();
            }
            Target::Journal(journal) => lines.feed(bytes, |line| journal.line(stream, line)),
        }
    }

    /// Takes the unfinished lines: the run has ended.
    pub fn finish(&mut self) {
        for (stream, lines) in [(LogStream::Stdout, &mut self.stdout), (LogStream::Stderr, &mut self.stderr)]
        {
            let Some(line) = lines.take() else { continue };
            match &mut self.target {
                Target::None => {}
                Target::Json(file) => {
                    file.line(stream, &line, Time::now());
                    file.flush();
                }
                Target::Journal(journal) => journal.line(stream, &line),
            }
        }
    }
}
