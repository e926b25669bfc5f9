//! `tag`: one more name.

use conex_oci::Reference;

use crate::{Error, Result, Store};

impl Store {
    /// Gives the image named `source` (reference or id) the further name `target`; an image that had it loses it, and
    /// stays without it. An index stays whole under its new name.
    pub fn tag(&self, source: &str, target: &Reference) -> Result<()> {
        if target.digest().is_some() {
            // A digest is what the content is, not what somebody calls it.
            return Err(Error::TagDigest { reference: target.familiar() });
        }
        let image = self.resolve(source, None).or_else(|error| match error {
            // Which of the platforms does not matter to a name.
            Error::Platform { .. } => self.resolve_any(source, error),
            other => Err(other),
        })?;
        let _lease = self.lease(&image)?;
        Ok(self.content().set(target, &image.target)?)
    }

    fn resolve_any(&self, source: &str, error: Error) -> Result<crate::Image> {
        let Some(target) = source.parse().ok().and_then(|name| self.content().get(&name).ok().flatten())
        else {
            return Err(error);
        };
        self.platforms_here(&target)?.into_iter().map(|(_, image)| image).next().ok_or(error)
    }
}
