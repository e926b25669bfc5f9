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
    /// The steps, newest first. Layers that no step claims (an image without a history) get rows of their own.
    pub fn history(&self, image: &Image) -> Result<Vec<HistoryRow>> {
        let mut sizes = Vec::new();
        for number in 0..image.document.rootfs.diff_ids.len() {
            sizes.push(self.layer_size(image, number)?);
        }
        let mut sizes = sizes.into_iter();
        let mut rows = Vec::new();
        for step in &image.document.history {
            let size = if step.empty_layer { 0 } else { sizes.next().unwrap_or(0) };
            rows.push(HistoryRow {
                id: None,
                created: step.created.clone(),
                created_by: step.created_by.clone().unwrap_or_default(),
                size,
                comment: step.comment.clone().unwrap_or_default(),
                tags: Vec::new(),
            });
        }
        rows.extend(sizes.map(|size| HistoryRow {
            id: None,
            created: image.document.created.clone(),
            created_by: String::new(),
            size,
            comment: String::new(),
            tags: Vec::new(),
        }));
        rows.reverse();
        if let Some(newest) = rows.first_mut() {
            newest.id = Some(image.id);
            newest.tags = self.names(image)?.into_iter().filter(|name| name.digest().is_none()).collect();
        }
        Ok(rows)
    }
}
