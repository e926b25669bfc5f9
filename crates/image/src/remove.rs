//! `rmi`: names go first, and with the last one the image, by Docker's rules.

use std::fmt;

use conex_oci::Digest;

use crate::{Result, Store};

/// A container that was made from an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Its short id, as shown in errors.
    pub container: String,
    /// Whether it runs (not even `--force` deletes its image).
    pub running: bool,
}

/// One line of `rmi`'s output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name is gone.
    Untagged(String),
    /// An image's or layer chain's id is gone.
    Deleted(Digest),
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untagged(name) => write!(f, "Untagged: {name}"),
            Self::Deleted(id) => write!(f, "Deleted: {id}"),
        }
    }
}

impl Store {
    /// Removes a name, or an image with its last one. `in_use` tells which containers were made from an image id.
    pub fn remove(
        &self,
        name: &str,
        force: bool,
        in_use: &dyn Fn(&Digest) -> Vec<Usage>,
    ) -> Result<Vec<Removed>> {
        let _ = (name, force, in_use);
        todo!()
    }

    /// Deletes blobs and layers that no image needs; returns the bytes freed.
    pub fn collect(&self) -> Result<u64> {
        todo!()
    }
}
