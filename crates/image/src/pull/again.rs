//! What is missing of an image that was pulled before, by digests: `system check --repair --pull`.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use conex_content::Root;
use conex_oci::Descriptor;
use conex_oci::image::ImageManifest;
use conex_registry::Client;

use super::{Pull, Refusal};
use crate::{Error, Result, Silent, Store};

impl Store {
    /// Brings what is missing of these manifests of a root, of the host's without any; and what leads to them.
    pub(crate) fn refetch(&self, client: &Client, root: &Root, manifests: &[Descriptor]) -> Result<()> {
        let Some(name) = root.reference() else {
            return Err(Error::NotFound { name: root.familiar() });
        };
        let reference = &name.with_digest(root.target.digest);
        let _guard = self.content().guard(&format!("pull {reference}"))?;
        let pull = Pull {
            store: self,
            client,
            reference,
            platform: None,
            whole: false,
            progress: &Silent,
            brought: Mutex::default(),
            lease: self.content().lease()?,
        };
        let bytes = pull.document(&root.target)?;
        let chosen = match (manifests, root.target.is_index()) {
            ([], true) => vec![pull.choose(&root.target, &pull.index(&root.target, &bytes)?)?],
            ([], false) => vec![root.target.clone()],
            (manifests, _) => manifests.to_vec(),
        };
        chosen.iter().try_for_each(|manifest| pull.complete(&root.target, manifest))
    }
}

impl Pull<'_> {
    fn complete(&self, target: &Descriptor, manifest: &Descriptor) -> Result<()> {
        let bytes = self.document(manifest)?;
        let malformed = |source| self.refuse(Refusal::Malformed { digest: manifest.digest, source });
        let document: ImageManifest = serde_json::from_slice(&bytes).map_err(malformed)?;
        match self.image(target, manifest) {
            Ok(image) if image.platform().serves(&conex_oci::Platform::host()) => {
                self.download(&image)?;
                self.store.unpack(&image, self.progress)
            }
            // Another platform's is not unpacked, and of what is no image there is nothing to unpack.
            Ok(_) | Err(Error::NotAnImage { .. }) => {
                for blob in [document.config].iter().chain(&document.layers) {
                    self.check_ours(blob)?;
                    self.blob(blob, &AtomicBool::new(false), &|_| {})?;
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
