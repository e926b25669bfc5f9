//! `ps`: one small file and one lock probe a container, nothing else.

use std::collections::BTreeMap;

use conex_oci::{ContainerId, Digest};

use crate::{Engine, Result};

/// What `ps` takes.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// `-a`: also those that do not run.
    pub all: bool,
    /// `-n`: the newest so many, whatever their state.
    pub last: Option<usize>,
    /// `-s`: sizes are filled in (walks the writable layers).
    pub size: bool,
    /// `--filter key=value`, as typed; see [`ListFilter::add`].
    filters: Vec<(String, String)>,
}

impl ListFilter {
    /// Adds a `--filter key=value`. Values of one key are alternatives, keys all hold.
    ///
    /// # Errors
    /// An unknown key, or a value that the key does not take.
    pub fn add(&mut self, filter: &str) -> Result<()> {
        let (key, value) = filter.split_once('=').unwrap_or((filter, ""));
        self.filters.push((key.to_owned(), value.to_owned()));
        Ok(())
    }
}

/// A row of `ps`.
#[derive(Debug, Clone)]
pub struct ContainerSummary {
    /// Its id.
    pub id: ContainerId,
    /// Without the slash.
    pub name: String,
    /// The image as the user typed it.
    pub image: String,
    /// The image's id.
    pub image_id: Digest,
    /// Program and arguments, joined with spaces.
    pub command: String,
    /// Seconds since 1970.
    pub created: i64,
    /// Docker's word: `created`, `running`, `paused`, `restarting`, `removing`, `exited`, `dead`.
    pub state: &'static str,
    /// Docker's phrase: `Up 3 minutes`, `Exited (0) 2 hours ago`.
    pub status: String,
    /// Labels of the image and the user.
    pub labels: BTreeMap<String, String>,
    /// Sources of bind mounts.
    pub mounts: Vec<String>,
    /// `none`, `host`, `container:<id>`.
    pub network: String,
    /// With [`ListFilter::size`]: bytes of the writable layer, and of it and the image together.
    pub size: Option<(u64, u64)>,
}

impl Engine {
    /// The containers that pass the filter, newest first.
    ///
    /// # Errors
    /// When the store cannot be read; a single damaged container is left out.
    pub fn list(&self, filter: &ListFilter) -> Result<Vec<ContainerSummary>> {
        let _ = filter;
        todo!()
    }

    /// Ids of the containers that were made from an image: what stands in the way of `rmi`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn image_users(&self, image: &Digest) -> Result<Vec<ContainerId>> {
        let _ = image;
        todo!()
    }
}
