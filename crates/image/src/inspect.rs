//! `inspect`: an image as Docker's API shows it.

use crate::{Image, Result, Store};

impl Store {
    /// The image with Docker's field names.
    pub fn inspect(&self, image: &Image) -> Result<serde_json::Value> {
        let _ = image;
        todo!()
    }
}
