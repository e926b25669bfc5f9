//! `history`: how an image was made, newest step first.

use conex_oci::{Digest, Reference};

use crate::{Image, Result, Store};

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// The image's id on the newest row; `None` (Docker's `<missing>`) below.
    pub id: Option<Digest>,
    /// RFC 3339.
    pub created: Option<String>,
    /// The command.
    pub created_by: String,
    /// The unpacked size of the layer it made, in bytes.
    pub size: u64,
    /// A remark.
    pub comment: String,
    /// The image's names, on the newest row.
    pub tags: Vec<Reference>,
}

impl Store {
    /// The steps, newest first.
    pub fn history(&self, image: &Image) -> Result<Vec<HistoryRow>> {
        let _ = image;
        todo!()
    }
}
