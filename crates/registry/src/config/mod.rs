//! What the machine's configuration says of registries: containers-registries.conf(5), version 2. Read when a registry is
//! first asked; a file that is wrong is an error and not ignored, since it may say that something is blocked.
//!
//! `unqualified-search-registries`, `short-name-mode` and aliases are read past: a name without a registry is Docker Hub's,
//! as with Docker.

mod document;
mod rewrite;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use document::{Document, Entry};

use crate::{Error, Result};

/// The most that is read of one file, in bytes.
const LIMIT: u64 = 1 << 20;

/// The configuration's files, and what they say once they have been read.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    /// Each overrides what those before it say of the same prefix.
    files: Vec<PathBuf>,
    read: Arc<OnceLock<Result<Vec<Entry>, Problem>>>,
}

/// A file that cannot be used. Kept, since it is told each time.
#[derive(Debug, Clone)]
struct Problem {
    path: PathBuf,
    reason: String,
}

impl Registries {
    /// No configuration: each registry is where its name says.
    pub fn none() -> Self {
        Self::default()
    }

    /// The files at `paths`; of those that speak of one prefix the last counts.
    pub fn at(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { files: paths.into_iter().collect(), read: Arc::default() }
    }

    /// `CONTAINERS_REGISTRIES_CONF` alone if it is set; else the user's `containers/registries.conf` or the machine's, and
    /// after it what is in `registries.conf.d` beside both.
    pub fn from_env() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(file) = set("CONTAINERS_REGISTRIES_CONF") {
            return Self::at([file]);
        }
        let config = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
        let own = config.map(|directory| directory.join("containers"));
        let machine = Path::new("/etc/containers");
        let places = own.iter().map(PathBuf::as_path).chain([machine, Path::new("/usr/share/containers")]);
        let main = places.map(|place| place.join("registries.conf")).find(|file| file.exists());
        let mut files: Vec<PathBuf> = main.into_iter().collect();
        for place in std::iter::once(machine).chain(own.as_deref()) {
            files.extend(drop_ins(&place.join("registries.conf.d")));
        }
        Self::at(files)
    }

    /// What the files say, by prefix.
    fn entries(&self) -> Result<&[Entry]> {
        let read = self.read.get_or_init(|| read_all(&self.files));
        match read {
            Ok(entries) => Ok(entries),
            Err(problem) => {
                Err(Error::Configuration { path: problem.path.clone(), reason: problem.reason.clone() })
            }
        }
    }
}

fn drop_ins(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
        .collect();
    files.sort();
    files
}

fn read_all(files: &[PathBuf]) -> Result<Vec<Entry>, Problem> {
    let mut entries: Vec<Entry> = Vec::new();
    for path in files {
        let problem = |reason: String| Problem { path: path.clone(), reason };
        let text = text(path).map_err(|error| problem(error.to_string()))?;
        for entry in Document::parse(&text).map_err(problem)?.entries {
            entries.retain(|known| known.prefix != entry.prefix);
            entries.push(entry);
        }
    }
    Ok(entries)
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(LIMIT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LIMIT {
        return Err(io::Error::other("it is too large"));
    }
    Ok(text)
}
