//! From what a person typed to one [`Image`].

use conex_oci::{Descriptor, Platform, Reference};

use crate::{Image, Result, Store};

impl Store {
    /// Finds an image by reference (`alpine`, `alpine:3.20`, `repo@sha256:…`), by id (`sha256:…`, 64 digits) or by an
    /// unambiguous prefix of its id. Without a platform: the host's, else the only one that is here (Docker warns then;
    /// compare [`Image::platform`]).
    pub fn resolve(&self, name: &str, platform: Option<&Platform>) -> Result<Image> {
        let _ = (name, platform);
        todo!()
    }

    /// The image behind a manifest or index whose blobs are here; pull ends with this. `name` is for error messages.
    pub fn image_of(
        &self,
        target: &Descriptor,
        reference: Option<&Reference>,
        platform: Option<&Platform>,
    ) -> Result<Image> {
        let _ = (target, reference, platform);
        todo!()
    }
}
