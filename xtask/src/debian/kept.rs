//! Images for the tests that take long to make: each is made once, kept in its directory of `target/` with the recipe that it was made by,
//! and made anew when the recipe changes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

use super::Sources;
use crate::command::root;

/// An image of Debian packages.
pub(crate) struct Kept {
    /// The image's name, and its directory's.
    pub(super) name: &'static str,
    /// The name of its file.
    pub(super) file: &'static str,
    /// What names the file to tests, and to the comparison of pulls.
    pub(super) variable: &'static str,
    /// What a change of makes another image.
    pub(super) recipe: fn(&Sources) -> String,
    /// Makes it in an empty directory, the first one, and says where. The second is its cache, where it may keep more.
    pub(super) make: fn(&Path, &Path, &Sources) -> Result<PathBuf>,
}

impl Kept {
    /// `cargo xtask debian-image`, for who runs single tests by hand.
    pub(crate) fn run(&self) -> Result<()> {
        println!("{}={}", self.variable, self.kept()?.display());
        Ok(())
    }

    /// The variable, and the file to name, made if it is not there. Without it, those that want it say that they are skipped.
    pub(crate) fn find(&self) -> Option<(&'static str, PathBuf)> {
        if let Some(named) = std::env::var_os(self.variable) {
            return Some((self.variable, named.into()));
        }
        match self.kept() {
            Ok(file) => Some((self.variable, file)),
            Err(error) => {
                println!("no image {} for the tests: {error:#}", self.name);
                None
            }
        }
    }

    /// Two that want it at once make it once.
    fn kept(&self) -> Result<PathBuf> {
        let sources = Sources::of_this_machine()?;
        let recipe = (self.recipe)(&sources);
        let cache = root().join("target").join(self.name);
        let file = cache.join(self.file);
        fs::create_dir_all(&cache)?;
        let lock = File::create(cache.join("lock"))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        if fs::read_to_string(cache.join("recipe")).is_ok_and(|text| text == recipe) && file.is_file() {
            return Ok(file);
        }
        println!("building the image {} of Debian packages (kept in {})", self.name, cache.display());
        let making = cache.join("making");
        clear(&making)?;
        fs::create_dir(&making)?;
        fs::rename((self.make)(&making, &cache, &sources)?, &file)?;
        fs::write(cache.join("recipe"), recipe)?;
        fs::remove_dir_all(&making)?;
        Ok(file)
    }
}

/// Removes a directory that may be there.
pub(super) fn clear(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot clear {}", directory.display()))?;
    }
    Ok(())
}
