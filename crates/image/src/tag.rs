//! `tag`: one more name.

use conex_oci::Reference;

use crate::{Result, Store};

impl Store {
    /// Gives the image named `source` (reference or id) the further name `target`; an image that had it loses it.
    pub fn tag(&self, source: &str, target: &Reference) -> Result<()> {
        let _ = (source, target);
        todo!()
    }
}
