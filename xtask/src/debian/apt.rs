//! apt with a state of its own: packages of other suites are fetched and unpacked, and the machine stays as it is.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{output, program};

/// apt with its own lists and cache.
pub(crate) struct Apt {
    pub(crate) state: PathBuf,
}

impl Apt {
    pub(crate) fn new(state: PathBuf, sources: &str) -> Result<Self> {
        for directory in ["lists/partial", "cache/archives/partial"] {
            std::fs::create_dir_all(state.join(directory))?;
        }
        std::fs::write(state.join("sources.list"), sources)?;
        let apt = Self { state };
        output(apt.get().args(["-qq", "update"])).context("cannot fetch the package lists")?;
        Ok(apt)
    }

    /// apt-get
    pub(crate) fn get(&self) -> Command {
        self.command("apt-get")
    }

    /// apt-get, apt-cache, …
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = program(name);
        let settings = [
            ("Dir::Etc::sourcelist", self.state.join("sources.list")),
            ("Dir::Etc::sourceparts", "/dev/null".into()),
            ("Dir::Etc::preferencesparts", "/dev/null".into()),
            ("Dir::State::lists", self.state.join("lists")),
            ("Dir::Cache", self.state.join("cache")),
            ("Acquire::Languages", "none".into()),
            // The download's user may not be able to reach the cache.
            ("APT::Sandbox::User", "root".into()),
            // Some machines throw fetched packages away.
            ("APT::Keep-Downloaded-Packages", "true".into()),
        ];
        for (name, value) in settings {
            command.arg("-o").arg(format!("{name}={}", value.display()));
        }
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// The package files fetched so far.
    pub(crate) fn fetched(&self) -> Result<Vec<PathBuf>> {
        files_of(&self.state.join("cache/archives"))
    }
}

/// The package files in a directory, the newest version of a name last.
pub(crate) fn files_of(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    files.sort();
    Ok(files)
}
