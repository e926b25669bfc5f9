//! Layers as they are mounted. One that is an EROFS image is compared byte for byte with what its own tar stream makes, and that
//! with the diff_id; of one that is a directory only its presence can be told.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use conex_content::{Entry, EntryKind, open_plain};
use conex_oci::{DiffId, Digest};

use super::{Check, Cure, Fault, Finding, Subject};
use crate::layers::{RECORD, Record, Stats, in_directory, in_image};
use crate::verify::verify_layer;
use crate::{Result, Store};

/// Bytes of a layer's record that are read.
const RECORD_LIMIT: u64 = 4096;

impl Check<'_> {
    pub(super) fn layers(&mut self, findings: &mut Vec<Finding>) -> Result<()> {
        self.sound_layers.clear();
        let mut whole = BTreeSet::new();
        (self.layers_seen, self.directories_seen) = (0, 0);
        let root = self.store.root().join("layers");
        for entry in entries(&root)? {
            let Some(layer) = entry.digest().map(DiffId) else {
                // Layers in the making, which who opens the store clears.
                if entry.name != ".partial" {
                    let path = Path::new("layers").join(&entry.name);
                    let stray = Fault::Stray(entry.kind);
                    findings.push(Finding::new(Subject::File(path), stray, Cure::Leave));
                }
                continue;
            };
            self.layers_seen += 1;
            let directory = root.join(&entry.name);
            let found = match entry.kind {
                EntryKind::Directory => self.layer(&layer, &directory),
                kind => Some((Fault::WrongType(kind), self.unpack_cure(&layer))),
            };
            match found {
                // It went while it was looked at.
                Some(_) if std::fs::symlink_metadata(&directory).is_err() => {}
                Some((fault, cure)) => self.tell_layer(layer, fault, cure, findings),
                None => {
                    whole.insert(layer);
                }
            }
        }
        // One that is here in the other form alone is still to be unpacked.
        for layer in &whole {
            if self.store.layers().lower(layer)?.is_some() {
                self.sound_layers.insert(*layer);
            }
        }
        self.orphans(&whole, findings)
    }

    fn tell_layer(&mut self, layer: DiffId, fault: Fault, cure: Cure, findings: &mut Vec<Finding>) {
        let mut finding = Finding::new(Subject::Layer(layer), fault, cure);
        match self.graph.layers.get(&layer) {
            Some(layered) => finding.needed_by = self.graph.names(&layered.roots),
            None if finding.cure != Cure::Record => finding.cure = Cure::Discard,
            None => {}
        }
        // A record is a convenience: the layer itself is sound.
        if finding.cure == Cure::Record {
            self.sound_layers.insert(layer);
        }
        findings.push(finding);
    }

    /// How a layer is mended: out of a blob that is here, or by the next pull.
    fn unpack_cure(&mut self, layer: &DiffId) -> Cure {
        let blobs = self.graph.layers.get(layer).map(|layered| layered.blobs.clone()).unwrap_or_default();
        let sound = blobs.into_iter().find(|blob| {
            self.blobs.get(&blob.digest).is_some_and(|known| known.is_sound() && known.size == blob.size)
        });
        sound.map_or(Cure::RemoveLayer, |blob| Cure::Unpack(Box::new(blob)))
    }

    /// Whether a layer is still found wrong when it is read once more.
    pub(super) fn is_wrong_again(&mut self, layer: &DiffId) -> bool {
        let directory = self.store.root().join("layers").join(layer.0.hex());
        self.cache.remove(&directory.join(in_image()));
        self.layer(layer, &directory).is_some()
    }

    /// What is wrong with a layer, and what mends it.
    fn layer(&mut self, layer: &DiffId, directory: &Path) -> Option<(Fault, Cure)> {
        let (image, tree) = (directory.join(in_image()), directory.join(in_directory()));
        let mut forms = 0;
        for (path, wanted) in [(&image, EntryKind::File), (&tree, EntryKind::Directory)] {
            let Ok(entry) = Entry::at(path) else { continue };
            forms += 1;
            let fault = match entry.kind {
                kind if kind != wanted => Some(Fault::WrongType(kind)),
                EntryKind::File => self.image(layer, path, &entry),
                _ => {
                    self.directories_seen += 1;
                    None
                }
            };
            if let Some(fault) = fault {
                return Some((fault, self.unpack_cure(layer)));
            }
        }
        if forms == 0 {
            return Some((Fault::Torn("there is nothing in it".to_owned()), self.unpack_cure(layer)));
        }
        let record = directory.join(RECORD);
        match read_record(&record) {
            Err(why) => Some((Fault::Torn(format!("{RECORD}: {why}")), Cure::Record)),
            Ok(noted) => {
                let counted = open_plain(&image).ok().and_then(|file| conex_erofs::layer_stats(&file).ok());
                let differs = counted.is_some_and(|counted| Stats::from(counted) != noted.stats);
                differs.then(|| (Fault::Torn(format!("{RECORD}: not what was counted")), Cure::Record))
            }
        }
    }

    fn image(&mut self, layer: &DiffId, path: &Path, entry: &Entry) -> Option<Fault> {
        let quick = self.options.quick;
        let cached = self.cache.get(path).filter(|(identity, _)| *identity == entry.identity);
        if let Some((_, fault)) = cached {
            return fault.clone();
        }
        let read = || -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            let file = open_plain(path)?;
            self.store.layers().check_seal(layer)?;
            if quick {
                conex_erofs::Image::open(&file)?;
                return Ok(());
            }
            verify_layer(layer, &file, &|bytes| (self.advance)(bytes))
        };
        let fault = read().err().map(|error| Fault::Torn(error.to_string()));
        self.cache.insert(path.to_owned(), (entry.identity, fault.clone()));
        fault
    }

    /// Layers that no image has and no container needs, where that can be told.
    fn orphans(&mut self, whole: &BTreeSet<DiffId>, findings: &mut Vec<Finding>) -> Result<()> {
        if !self.graph.is_certain || !self.tenants.unknown.is_empty() {
            return Ok(());
        }
        let Some(rented) = self.rented(|_| true) else { return Ok(()) };
        let claim = self.store.content().claim()?;
        let mut free = Vec::new();
        for layer in whole {
            let is_needed = self.graph.layers.contains_key(layer) || rented.contains(layer);
            if !is_needed && claim.try_add(&layer.0)? {
                claim.release(&layer.0)?;
                free.push(*layer);
            }
        }
        if free.is_empty() {
            return Ok(());
        }
        self.follow_roots(&mut Vec::new())?;
        for layer in free {
            let directory = self.store.root().join("layers").join(layer.0.hex());
            let Ok(entry) = Entry::at(&directory) else { continue };
            if self.graph.layers.contains_key(&layer) || !self.graph.is_certain {
                continue;
            }
            let bytes = size(&directory);
            if self.is_suspect_still(directory, entry.identity) {
                findings.push(Finding::new(Subject::Layer(layer), Fault::Orphan(bytes), Cure::Discard));
            }
        }
        Ok(())
    }

    /// The layers of these containers' images; nothing when they cannot be told.
    pub(super) fn rented(&mut self, is_meant: impl Fn(&super::Tenant) -> bool) -> Option<BTreeSet<DiffId>> {
        let images: BTreeSet<Digest> =
            self.tenants.known.iter().filter(|tenant| is_meant(tenant)).map(|tenant| tenant.image).collect();
        let mut layers = BTreeSet::new();
        for image in images {
            let known = self.graph.images.get(&image).filter(|layers| !layers.is_empty()).cloned();
            let of_image = match known {
                Some(layers) => layers,
                None => {
                    let document: conex_oci::image::ImageDocument = self.blobs.document(&image)?;
                    document.rootfs.diff_ids
                }
            };
            layers.extend(of_image);
        }
        Some(layers)
    }
}

fn entries(directory: &Path) -> Result<Vec<Entry>> {
    Entry::all(directory).map_err(|source| {
        let path = directory.to_owned();
        crate::layers::LayerError::Store { what: "read", path, source }.into()
    })
}

fn read_record(path: &Path) -> Result<Record, String> {
    let mut bytes = Vec::new();
    open_plain(path)
        .and_then(|file| file.take(RECORD_LIMIT).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

/// Bytes of a layer that is an image; of another nobody counts them.
fn size(directory: &Path) -> u64 {
    Entry::at(&directory.join(in_image())).map_or(0, |entry| entry.size)
}

/// Bytes of all layers that are images.
pub(super) fn bytes(store: &Store) -> u64 {
    let root = store.root().join("layers");
    let entries = Entry::all(&root).unwrap_or_default();
    entries.iter().map(|entry| size(&root.join(&entry.name))).sum()
}
