//! The handle on a store and a run directory that all verbs hang on.

use std::path::PathBuf;

use conex_oci::ContainerId;
use serde_json::Value;

use crate::options::{CreateOptions, Made};
use crate::{Error, Result};

/// Where everything is.
#[derive(Debug, Clone)]
pub struct Paths {
    /// `--root`: survives a reboot.
    pub root: PathBuf,
    /// `--run-root`: gone at a reboot.
    pub run: PathBuf,
}

/// A handle on a store; cheap to open.
pub struct Engine {
    paths: Paths,
}

impl Engine {
    /// Opens a store, making its directories when they are missing.
    ///
    /// # Errors
    /// [`Error::Directory`] when they cannot be made.
    pub fn open(paths: Paths) -> Result<Self> {
        Ok(Self { paths })
    }

    /// Where everything is.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The container that a user means: an id, a unique prefix of one, or a name.
    ///
    /// # Errors
    /// [`Error::NoSuchContainer`], [`Error::Ambiguous`].
    pub fn find(&self, text: &str) -> Result<ContainerId> {
        Err(Error::NoSuchContainer { name: text.to_owned() })
    }

    /// Docker's `inspect` document.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn inspect(&self, id: &ContainerId, size: bool) -> Result<Value> {
        let _ = (id, size);
        todo!()
    }

    /// Docker's `info` document.
    ///
    /// # Errors
    /// When the store or the host's cgroups cannot be read.
    pub fn info(&self) -> Result<Value> {
        todo!()
    }

    /// Docker's `version` document (`Client` and `Server` alike: there is no daemon).
    pub fn version(&self) -> Value {
        todo!()
    }

    /// Makes a container. All or nothing: after an error nothing of it is left. Pulls as [`CreateOptions::pull`] says.
    ///
    /// # Errors
    /// An image that is not there, a name in use, options that do not fit the host or the image.
    pub fn create(&self, options: &CreateOptions) -> Result<Made> {
        let _ = options;
        todo!()
    }
}
