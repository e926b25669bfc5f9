//! Layers: unpacked again where their blobs are sound, else removed for the next pull; never under a container that runs.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use conex_content::{EntryKind, open_plain};
use conex_oci::{DiffId, Digest};

use super::{REMOVED, Repair, Step};
use crate::check::{Ask, Cure, Fault, Finding, Subject};
use crate::layers::{RECORD, Record, Stats, in_directory, in_image, seal};
use crate::{Error, Result};

impl Repair<'_, '_> {
    pub(super) fn layers<E: From<Error>>(&mut self, found: &[Finding], tenants: Ask<'_, E>) -> Result<(), E> {
        for finding in found {
            let Subject::Layer(layer) = &finding.subject else { continue };
            let step = match &finding.cure {
                Cure::Record => self.record(layer),
                // Sound ones are looked at once more when all else is done.
                Cure::Discard if !finding.fault.is_damage() => continue,
                Cure::Discard | Cure::RemoveLayer | Cure::Unpack(_) => {
                    self.remove_layer(layer, finding, tenants)?
                }
                _ => continue,
            };
            self.note(&finding.subject, step);
        }
        Ok(())
    }

    fn remove_layer<E: From<Error>>(
        &mut self,
        layer: &DiffId,
        finding: &Finding,
        tenants: Ask<'_, E>,
    ) -> Result<Step, E> {
        let store = self.check.store;
        let claim = store.content().claim().map_err(Error::from)?;
        let images = self.check.graph.layers.get(layer).map(|layered| layered.images.clone());
        // Who starts a container leases its image, and who brings a layer that.
        for digest in images.unwrap_or_default().iter().chain([&layer.0]) {
            if !claim.try_add(digest).map_err(Error::from)? {
                return Ok(Err("not removed: another command is at work on it; try again".to_owned()));
            }
        }
        self.check.tenants = tenants()?;
        if let Some(who) = self.user(|layers| layers.contains(layer))? {
            return Ok(Err(format!("not removed: {who}")));
        }
        // A memory or a cable may have been at fault. What is removed has been found wrong twice.
        if !matches!(finding.fault, Fault::WrongType(_)) && !self.check.is_wrong_again(layer) {
            return Ok(Err("not removed: read again, it is what it should be".to_owned()));
        }
        let directory = store.root().join("layers").join(layer.0.hex());
        if let Fault::WrongType(_) = finding.fault
            && std::fs::symlink_metadata(&directory).is_ok_and(|metadata| !metadata.is_dir())
        {
            if let Err(why) = self.discard(&directory) {
                return Ok(Err(why));
            }
        } else if let Err(error) = store.layers().remove(layer) {
            return Ok(Err(format!("not removed: {error}")));
        }
        if let Some(merged) = &store.merged {
            merged.forget(&BTreeSet::from([*layer])).map_err(Error::from)?;
        }
        drop(claim);
        let Cure::Unpack(blob) = &finding.cure else { return Ok(Ok(REMOVED.to_owned())) };
        Ok(match store.unpack_layer(blob, layer, &crate::Silent) {
            Ok(()) => Ok("unpacked again from its blob".to_owned()),
            Err(error) => Err(format!("removed, and not unpacked again: {error}")),
        })
    }

    /// Whoever uses layers of which this is true at this moment, in words: a container that runs, or a mount. Who cannot be asked may
    /// use anything.
    pub(super) fn user(&mut self, concerns: impl Fn(&[DiffId]) -> bool) -> Result<Option<String>> {
        if let Some((id, _)) = self.check.tenants.unknown.first() {
            return Ok(Some(format!("nobody knows what container {id} uses")));
        }
        let live = self.check.tenants.known.iter().filter(|tenant| tenant.is_live);
        let live: Vec<(Digest, String)> = live
            .map(|tenant| {
                (
                    tenant.image,
                    format!("container {0} runs on it ('conex stop {0}', then again)", tenant.name),
                )
            })
            .collect();
        let mounted = self.check.store.mounted()?.into_iter();
        let mounted = mounted.map(|mounted| {
            let place = mounted.path.display().to_string();
            (mounted.image, format!("it is mounted on {place} ('conex image unmount', then again)"))
        });
        for (image, who) in live.into_iter().chain(mounted) {
            let known = self.check.graph.images.get(&image).filter(|layers| !layers.is_empty()).cloned();
            let layers = match known {
                Some(layers) => Some(layers),
                None => {
                    let document: Option<conex_oci::image::ImageDocument> = self.check.blobs.document(&image);
                    document.map(|document| document.rootfs.diff_ids)
                }
            };
            if layers.is_none_or(|layers| concerns(&layers)) {
                return Ok(Some(who));
            }
        }
        Ok(None)
    }

    /// Writes what a layer's maker has noted of it: out of the image, which says it too, or by counting.
    fn record(&self, layer: &DiffId) -> Step {
        let store = self.check.store;
        let directory = store.root().join("layers").join(layer.0.hex());
        let failed = |error: &dyn std::fmt::Display| format!("not written: {error}");
        let record = match open_plain(&directory.join(in_image())) {
            Ok(file) => {
                let stats = conex_erofs::layer_stats(&file).map_err(|error| failed(&error))?.into();
                Record { stats, seal: seal::found(&file) }
            }
            Err(_) => {
                let stats = count(&directory.join(in_directory())).map_err(|error| failed(&error))?;
                Record { stats, seal: None }
            }
        };
        let path = directory.join(RECORD);
        if std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
            store.content().set_aside(&path).map_err(|error| failed(&error))?;
        }
        let bytes = serde_json::to_vec(&record).expect("numbers are JSON");
        store.content().put_file(&path, &bytes).map_err(|error| failed(&error))?;
        Ok("its record is written again".to_owned())
    }

    /// Layers that no image has: as a prune removes them, after a look at what containers need, and while nothing is missing that
    /// could lead to one.
    pub(super) fn orphans(&mut self, found: &[Finding]) {
        let orphans: HashSet<Digest> = found
            .iter()
            .filter(|finding| matches!(finding.fault, Fault::Orphan(_)))
            .filter_map(|finding| match finding.subject {
                Subject::Layer(layer) => Some(layer.0),
                _ => None,
            })
            .collect();
        if orphans.is_empty() {
            return;
        }
        let step = match self.check.graph.is_certain && self.check.tenants.unknown.is_empty() {
            true => self
                .check
                .store
                .collect_orphans(&orphans, &self.check.tenants)
                .map(drop)
                .map_err(|error| error.to_string()),
            false => Err("an image has lost a document and could need it".to_owned()),
        };
        for layer in orphans {
            let step = step.clone().map(|()| REMOVED.to_owned()).map_err(|why| format!("not removed: {why}"));
            self.note(&Subject::Layer(DiffId(layer)), step);
        }
    }
}

/// What a tree holds, counted. Nothing in it is followed.
fn count(tree: &Path) -> std::io::Result<Stats> {
    let mut stats = Stats::default();
    let mut ahead = vec![tree.to_owned()];
    while let Some(directory) = ahead.pop() {
        for entry in conex_content::Entry::all(&directory)? {
            stats.entries += 1;
            match entry.kind {
                EntryKind::Directory => ahead.push(directory.join(&entry.name)),
                EntryKind::File => stats.bytes += entry.size,
                EntryKind::Other(_) => {}
            }
        }
    }
    Ok(stats)
}
