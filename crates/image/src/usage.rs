//! `system df`: what images take on the disk, what they share, and what a prune would free.
//!
//! An image takes its blobs and its unpacked layers; [`Store::list`] tells the size of the layers alone, as Docker does.
//! The figures are added up while others change the store: a blob that goes meanwhile counts nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use conex_content::{Reachable, Root};
use conex_oci::{DiffId, Digest};

use crate::prune::Users;
use crate::{Filter, Result, Store, Summary};

/// What all images take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// One by one, newest first.
    pub images: Vec<ImageUsage>,
    /// Bytes of all blobs and layers, also of those that no image needs.
    pub size: u64,
    /// Bytes that `image prune --all` would free.
    pub reclaimable: u64,
}

/// What one image takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUsage {
    /// Its names and its age.
    pub summary: Summary,
    /// How many containers were made from it.
    pub containers: usize,
    /// Bytes of its blobs and its layers; of an index, of all its images that are here.
    pub size: u64,
    /// Those of them that other images have too.
    pub shared: u64,
}

/// A thing on the disk. An uncompressed blob has the digest of the layer that is unpacked from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Blob(Digest),
    Layer(DiffId),
}

impl Store {
    /// What the images take; `users` says which of them containers were made from.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub fn disk_usage(&self, users: &Users) -> Result<DiskUsage> {
        let sizes = self.sizes()?;
        let (mut roots, mut kept) = (BTreeMap::<Digest, Vec<Root>>::new(), Vec::new());
        let mut containers: BTreeMap<Digest, usize> = BTreeMap::new();
        for holding in self.holdings()? {
            let used = holding.images.iter().filter_map(|image| users.get(&image.id));
            let used: usize = used.map(BTreeSet::len).sum();
            for image in &holding.images {
                roots.entry(image.id).or_default().push(holding.root.clone());
                let count = containers.entry(image.id).or_default();
                *count = used.max(*count);
            }
            if used > 0 || holding.damage.is_some() {
                kept.push(holding.root);
            }
        }
        let mut images = Vec::new();
        for summary in self.list(&Filter::default())? {
            let parts =
                parts(self.content().mark_from(roots.get(&summary.id()).map_or(&[][..], Vec::as_slice))?);
            images.push((summary, parts));
        }
        let mut owners: HashMap<Part, usize> = HashMap::new();
        for part in images.iter().flat_map(|(_, parts)| parts) {
            *owners.entry(*part).or_default() += 1;
        }
        let size_of = |part: &Part| sizes.get(part).copied().unwrap_or(0);
        let images = images.into_iter().map(|(summary, parts)| ImageUsage {
            containers: containers.get(&summary.id()).copied().unwrap_or(0),
            size: parts.iter().map(size_of).sum(),
            shared: parts.iter().filter(|part| owners[part] > 1).map(size_of).sum(),
            summary,
        });
        let size = sizes.values().sum::<u64>();
        let needed: u64 = parts(self.content().mark_from(&kept)?).iter().map(size_of).sum();
        Ok(DiskUsage { images: images.collect(), size, reclaimable: size.saturating_sub(needed) })
    }

    fn sizes(&self) -> Result<HashMap<Part, u64>> {
        let mut sizes = HashMap::new();
        for digest in self.content().blobs()? {
            sizes.insert(Part::Blob(digest), self.content().size(&digest).unwrap_or(0));
        }
        for layer in self.layers().list()? {
            let size = self.layers().size(&layer)?.unwrap_or(0);
            sizes.insert(Part::Layer(layer), size);
        }
        Ok(sizes)
    }
}

fn parts(reached: Reachable) -> HashSet<Part> {
    let blobs = reached.blobs.into_iter().map(Part::Blob);
    blobs.chain(reached.layers.into_iter().map(Part::Layer)).collect()
}
