//! Merged images: each against what its layers make, and its record against its name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use conex_content::{Entry, EntryKind, open_plain};
use conex_oci::{ChainId, DiffId, Digest};

use super::{Check, Cure, Fault, Finding, Subject};
use crate::Result;
use crate::layers::{LayerError, Merged, read_ids};

/// The two files of a chain of layers.
#[derive(PartialEq, Eq)]
struct Pair {
    image: Option<Entry>,
    record: Option<Entry>,
}

impl Pair {
    /// As they are now.
    fn of(merged: &Merged, chain: &Digest) -> Self {
        let at = |extension| Entry::at(&merged.images().join(format!("{}.{extension}", chain.hex()))).ok();
        Self { image: at("erofs"), record: at("json") }
    }

    fn is_gone(&self) -> bool {
        self.image.is_none() && self.record.is_none()
    }
}

impl Check<'_> {
    pub(super) fn merged(&mut self, findings: &mut Vec<Finding>) -> Result<()> {
        let Some(merged) = self.store.merged.clone() else { return Ok(()) };
        let mut chains = BTreeSet::new();
        for entry in entries(merged.images())? {
            let path = PathBuf::from(&entry.name);
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let chain: Option<Digest> = format!("sha256:{stem}").parse().ok();
            match (chain, path.extension().and_then(|extension| extension.to_str())) {
                (Some(chain), Some("erofs" | "json")) => drop(chains.insert(chain)),
                _ => {
                    let subject = Subject::File(Path::new("merged").join(&entry.name));
                    findings.push(Finding::new(subject, Fault::Stray(entry.kind), Cure::Leave));
                }
            }
        }
        for chain in chains {
            // Somebody is merging these layers at this moment.
            let Some(_lock) = merged.try_lock(&chain)? else { continue };
            // Only now: they may have gone since they were listed.
            let pair = Pair::of(&merged, &chain);
            if pair.is_gone() {
                continue;
            }
            let Some(fault) = self.pair(&merged, &chain, &pair)? else { continue };
            // Or go while they are looked at: who finds no lock, as after a reboot, takes them away without one.
            if pair != Pair::of(&merged, &chain) {
                continue;
            }
            let needed = self.graph.chains.get(&chain).cloned();
            let cure = if needed.is_some() { Cure::Merge } else { Cure::Discard };
            let mut finding = Finding::new(Subject::Merged(chain), fault, cure);
            if let Some(top) = needed.as_ref().and_then(|layers| layers.last())
                && let Some(layered) = self.graph.layers.get(top)
            {
                let ours = self.graph.roots.iter().enumerate().filter(|(number, rooted)| {
                    layered.roots.contains(number)
                        && rooted.manifests.iter().any(|manifest| Some(&manifest.layers) == needed.as_ref())
                });
                finding.needed_by = self.graph.names(&ours.map(|(number, _)| number).collect());
            }
            findings.push(finding);
        }
        Ok(())
    }

    fn pair(&mut self, merged: &Merged, chain: &Digest, pair: &Pair) -> Result<Option<Fault>> {
        for entry in [&pair.image, &pair.record].into_iter().flatten() {
            if entry.kind != EntryKind::File {
                return Ok(Some(Fault::WrongType(entry.kind)));
            }
        }
        let Some(record) = &pair.record else {
            return Ok(Some(Fault::Torn("it has no record".to_owned())));
        };
        let layers = match read_ids(&merged.images().join(&record.name)) {
            Ok(layers) => layers,
            Err(why) => return Ok(Some(Fault::Torn(format!("its record: {why}")))),
        };
        if ChainId::of(&layers).is_none_or(|of| of.0 != *chain) {
            return Ok(Some(Fault::Torn("its record is of other layers".to_owned())));
        }
        if !self.graph.chains.contains_key(chain) {
            if !self.graph.is_certain || self.are_leased(&layers)? {
                return Ok(None);
            }
            self.follow_roots(&mut Vec::new())?;
            let path = merged.images().join(&record.name);
            let is_orphan = self.is_suspect_still(path, record.identity)
                && self.graph.is_certain
                && !self.graph.chains.contains_key(chain);
            let bytes = pair.image.as_ref().map_or(0, |entry| entry.size);
            return Ok(is_orphan.then_some(Fault::Orphan(bytes)));
        }
        let Some(image) = &pair.image else { return Ok(None) };
        self.image_of(merged, chain, image, &layers)
    }

    /// Whether somebody is bringing these layers, or taking them away.
    fn are_leased(&self, layers: &[DiffId]) -> Result<bool> {
        let claim = self.store.content().claim()?;
        for layer in layers {
            if !claim.try_add(&layer.0)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn image_of(
        &mut self,
        merged: &Merged,
        chain: &Digest,
        image: &Entry,
        layers: &[DiffId],
    ) -> Result<Option<Fault>> {
        let path = merged.images().join(&image.name);
        if let Some((_, fault)) = self.cache.get(&path).filter(|(identity, _)| *identity == image.identity) {
            return Ok(fault.clone());
        }
        let opened = open_plain(&path)
            .map_err(|error| error.to_string())
            .and_then(|file| conex_erofs::Image::open(&file).map(drop).map_err(|error| error.to_string()));
        let fault = match opened {
            Err(why) => Some(Fault::Torn(why)),
            Ok(()) if self.options.quick => None,
            // A layer that is damaged takes its merged images along.
            Ok(()) if !layers.iter().all(|layer| self.sound_layers.contains(layer)) => return Ok(None),
            Ok(()) => match merged.differs(&ChainId(*chain), layers, self.store.layers()) {
                Ok(None) => None,
                Ok(Some(_)) => Some(Fault::Torn("not what its layers make".to_owned())),
                // One of them went just now.
                Err(LayerError::Missing { .. }) => return Ok(None),
                Err(error) => Some(Fault::Torn(error.to_string())),
            },
        };
        self.cache.insert(path, (image.identity, fault.clone()));
        Ok(fault)
    }
}

fn entries(directory: &Path) -> Result<Vec<Entry>> {
    Entry::all(directory)
        .map_err(|source| LayerError::Store { what: "read", path: directory.to_owned(), source }.into())
}
