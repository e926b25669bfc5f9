//! Merged images: made again of their layers, or removed; never under a container that runs.

use conex_content::{Entry, EntryKind};
use conex_oci::{ChainId, Digest};

use super::{Repair, Step};
use crate::check::{Ask, Cure, Finding, Subject};
use crate::{Error, Result};

impl Repair<'_, '_> {
    pub(super) fn merged<E: From<Error>>(&mut self, found: &[Finding], tenants: Ask<'_, E>) -> Result<(), E> {
        if self.check.store.merged.is_none() {
            return Ok(());
        }
        for finding in found {
            let (Subject::Merged(chain), Cure::Merge | Cure::Discard) = (&finding.subject, &finding.cure)
            else {
                continue;
            };
            let step = self.merge_again(chain, tenants)?;
            self.note(&finding.subject, step);
        }
        self.merge_missing();
        Ok(())
    }

    fn merge_again<E: From<Error>>(&mut self, chain: &Digest, tenants: Ask<'_, E>) -> Result<Step, E> {
        let store = self.check.store;
        let Some(merged) = &store.merged else { return Ok(Ok(String::new())) };
        let claim = store.content().claim().map_err(Error::from)?;
        let of_chain = |layers: &[conex_oci::DiffId]| ChainId::of(layers).is_some_and(|of| of.0 == *chain);
        for (image, _) in self.check.graph.images.iter().filter(|(_, layers)| of_chain(layers)) {
            if !claim.try_add(image).map_err(Error::from)? {
                return Ok(Err("not removed: another command is at work on it; try again".to_owned()));
            }
        }
        self.check.tenants = tenants()?;
        if let Some(who) = self.user(of_chain)? {
            return Ok(Err(format!("not removed: {who}")));
        }
        for extension in ["erofs", "json"] {
            let path = merged.images().join(format!("{}.{extension}", chain.hex()));
            if Entry::at(&path).is_ok_and(|entry| entry.kind == EntryKind::Directory)
                && let Err(why) = self.discard(&path)
            {
                return Ok(Err(why));
            }
        }
        if let Err(error) = merged.discard(chain) {
            return Ok(Err(format!("not removed: {error}")));
        }
        Ok(Ok(match self.check.graph.chains.contains_key(chain) {
            true => "merged again".to_owned(),
            false => "removed".to_owned(),
        }))
    }

    /// Merges what is needed and not merged, where all layers are here: then no start has to. What cannot be merged now is when it is
    /// needed, and says why.
    fn merge_missing(&self) {
        let store = self.check.store;
        let Some(merged) = &store.merged else { return };
        for (chain, layers) in &self.check.graph.chains {
            let here = layers.iter().all(|layer| matches!(store.layers().lower(layer), Ok(Some(_))));
            if here && let Err(error) = merged.merge(&ChainId(*chain), layers, store.layers()) {
                log::debug!("{error}");
            }
        }
    }
}
