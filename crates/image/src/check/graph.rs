//! What the roots lead to, of blobs that were read: what is needed, by whom, and what of it is here. Nothing that an index
//! only mentions is needed: other platforms' images and attestations need not be here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use conex_content::Root;
use conex_oci::image::{ImageDocument, ImageIndex, ImageManifest};
use conex_oci::{ChainId, Descriptor, DiffId, Digest, Platform};

use super::blobs::Blobs;
use crate::image::platform_of;
use crate::resolve::is_attestation;

/// Indexes in indexes are legal; an honest depth is two.
const DEPTH: usize = 8;

/// All that is needed.
#[derive(Default)]
pub(super) struct Graph {
    pub(super) roots: Vec<Rooted>,
    pub(super) needs: BTreeMap<Digest, Need>,
    pub(super) layers: HashMap<DiffId, Layered>,
    /// By id.
    pub(super) images: BTreeMap<Digest, Vec<DiffId>>,
    pub(super) chains: HashMap<Digest, Vec<DiffId>>,
    /// Whether no document is missing that could lead to more.
    pub(super) is_certain: bool,
}

/// A root and what hangs on it.
pub(super) struct Rooted {
    pub(super) root: Root,
    pub(super) manifests: Vec<Manifest>,
    /// An index of which nothing is here.
    pub(super) is_empty: bool,
}

/// A blob that somebody needs.
#[derive(Default)]
pub(super) struct Need {
    /// Bytes, as the first descriptor has it that says so.
    pub(super) size: Option<u64>,
    /// The roots that lead to it.
    pub(super) roots: BTreeSet<usize>,
    /// Whether it is damage when it is missing.
    pub(super) is_vital: bool,
    pub(super) descriptor: Option<Descriptor>,
}

/// A layer that images have.
#[derive(Default)]
pub(super) struct Layered {
    pub(super) blobs: Vec<Descriptor>,
    pub(super) images: BTreeSet<Digest>,
    pub(super) roots: BTreeSet<usize>,
}

/// A manifest below a root, which is here.
pub(super) struct Manifest {
    pub(super) descriptor: Descriptor,
    /// Configuration and layers.
    pub(super) blobs: Vec<Descriptor>,
    pub(super) layers: Vec<DiffId>,
    /// The image's id, when it is one that could run.
    pub(super) image: Option<Digest>,
    pub(super) serves_host: bool,
    pub(super) is_attestation: bool,
    pub(super) missing: usize,
    /// Whether what is missing is damage.
    pub(super) is_vital: bool,
}

impl Graph {
    /// Follows these roots. `is_unpacked` says whether a layer is here in the form in which it is mounted.
    pub(super) fn of(roots: Vec<Root>, blobs: &mut Blobs<'_>, is_unpacked: &dyn Fn(&DiffId) -> bool) -> Self {
        let mut graph = Self { is_certain: true, ..Self::default() };
        for (number, root) in roots.into_iter().enumerate() {
            let mut rooted = Rooted { root, manifests: Vec::new(), is_empty: false };
            let target = rooted.root.target.clone();
            graph.need(number, &target, true);
            graph.follow(number, &target, DEPTH, false, blobs, &mut HashSet::new(), &mut rooted.manifests);
            rooted.is_empty =
                target.is_index() && rooted.manifests.is_empty() && blobs.is_sound(&target.digest);
            graph.is_certain &= !rooted.is_empty;
            graph.judge(number, &mut rooted.manifests, blobs, is_unpacked);
            graph.roots.push(rooted);
        }
        graph
    }

    #[expect(clippy::too_many_arguments, reason = "one walk, and what it gathers")]
    fn follow(
        &mut self,
        root: usize,
        target: &Descriptor,
        depth: usize,
        is_aside: bool,
        blobs: &mut Blobs<'_>,
        seen: &mut HashSet<Digest>,
        found: &mut Vec<Manifest>,
    ) {
        if depth == 0 || !seen.insert(target.digest) {
            return;
        }
        if target.is_index() {
            let Some(index) = blobs.document::<ImageIndex>(&target.digest) else {
                self.is_certain = false;
                return;
            };
            for child in &index.manifests {
                if blobs.get(&child.digest).is_some() {
                    let platform = child.platform.as_ref();
                    self.need(
                        root,
                        child,
                        platform.is_none_or(|platform| platform.serves(&Platform::host())),
                    );
                    let is_aside = is_aside || is_attestation(child);
                    self.follow(root, child, depth - 1, is_aside, blobs, seen, found);
                }
            }
        } else if target.is_manifest() {
            let Some(manifest) = blobs.document::<ImageManifest>(&target.digest) else {
                self.is_certain = false;
                return;
            };
            found.push(self.manifest(target, manifest, is_aside, blobs));
        }
    }

    fn manifest(
        &mut self,
        target: &Descriptor,
        manifest: ImageManifest,
        is_attestation: bool,
        blobs: &mut Blobs<'_>,
    ) -> Manifest {
        let is_image = is_image(&manifest.config.media_type);
        let config = blobs.document::<ImageDocument>(&manifest.config.digest);
        // Of artifacts it need not be a document at all.
        self.is_certain &= config.is_some() || !is_image || is_attestation;
        let platform = match &config {
            Some(document) => Some(platform_of(document)),
            None => target.platform.clone(),
        };
        let layers = config.map(|document| document.rootfs.diff_ids).unwrap_or_default();
        let paired = layers.len() == manifest.layers.len();
        for (number, layer) in layers.iter().enumerate() {
            let known = self.layers.entry(*layer).or_default();
            known.images.insert(manifest.config.digest);
            if let Some(blob) = manifest.layers.get(number).filter(|_| paired)
                && !known.blobs.contains(blob)
            {
                known.blobs.push(blob.clone());
            }
        }
        if let Some(chain) = ChainId::of(&layers) {
            self.chains.insert(chain.0, layers.clone());
        }
        if is_image {
            self.images.insert(manifest.config.digest, layers.clone());
        }
        Manifest {
            descriptor: target.clone(),
            image: is_image.then_some(manifest.config.digest),
            serves_host: platform.is_none_or(|platform| platform.serves(&Platform::host())),
            is_attestation,
            missing: 0,
            is_vital: true,
            blobs: [manifest.config].into_iter().chain(manifest.layers).collect(),
            layers,
        }
    }

    /// Says of each manifest whether it is damage that something of it is missing: not of what is attached, and not of another
    /// platform's image beside one that is whole, which a pull may have begun with and not ended.
    fn judge(
        &mut self,
        root: usize,
        manifests: &mut [Manifest],
        blobs: &mut Blobs<'_>,
        is_unpacked: &dyn Fn(&DiffId) -> bool,
    ) {
        for manifest in manifests.iter_mut() {
            manifest.missing = manifest.blobs.iter().filter(|blob| blobs.get(&blob.digest).is_none()).count();
        }
        let some_whole = manifests.iter().any(|manifest| !manifest.is_attestation && manifest.missing == 0);
        let is_index = manifests.len() > 1;
        for manifest in manifests.iter_mut() {
            // What is unpacked was here once.
            let was_here = || manifest.layers.iter().any(is_unpacked);
            manifest.is_vital =
                !manifest.is_attestation && (!is_index || !some_whole || manifest.serves_host || was_here());
            for blob in &manifest.blobs {
                self.need(root, blob, manifest.is_vital);
            }
            for layer in &manifest.layers {
                if let Some(known) = self.layers.get_mut(layer) {
                    known.roots.insert(root);
                }
            }
        }
    }

    fn need(&mut self, root: usize, blob: &Descriptor, is_vital: bool) {
        let need = self.needs.entry(blob.digest).or_default();
        need.roots.insert(root);
        need.is_vital |= is_vital;
        need.size.get_or_insert(blob.size);
        if need.descriptor.is_none() {
            need.descriptor = Some(blob.clone());
        }
    }

    /// The names of these roots, those that are references first.
    pub(super) fn names(&self, roots: &BTreeSet<usize>) -> Vec<String> {
        let mut names: Vec<(bool, String)> = roots
            .iter()
            .map(|number| &self.roots[*number].root)
            .map(|root| (root.reference().is_none(), root.familiar()))
            .collect();
        names.sort();
        names.dedup();
        names.into_iter().map(|(_, name)| name).collect()
    }
}

fn is_image(config: &str) -> bool {
    use conex_oci::media_type::{CONFIG, DOCKER_CONFIG};
    [CONFIG, DOCKER_CONFIG, "application/octet-stream"].contains(&config)
}
