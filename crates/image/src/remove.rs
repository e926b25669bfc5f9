//! `rmi`: names go first, and with the last one the image, by Docker's rules.
//!
//! An image that containers use is never deleted, only (with `--force`) its names are: the containers' layers stay.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use conex_content::{Claim, Name, Root};
use conex_oci::{ChainId, Digest, Reference};

use crate::resolve::Rooted;
use crate::{Collected, Error, Image, Result, Store};

/// A container that was made from an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Its short id, as shown in errors.
    pub container: String,
    /// Whether it runs (not even `--force` deletes its image).
    pub running: bool,
}

/// One line of `rmi`'s output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name is gone.
    Untagged {
        /// As people write it.
        name: String,
        /// The image that it was of; of an index, the host's or the first.
        id: Digest,
    },
    /// An image's or layer chain's id is gone.
    Deleted(Digest),
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untagged { name, .. } => write!(f, "Untagged: {name}"),
            Self::Deleted(id) => write!(f, "Deleted: {id}"),
        }
    }
}

/// Why an image cannot be removed, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// By its last name, without `--force`.
    #[error("unable to remove repository reference {name:?} (must force) - container {container} is using its referenced image {}", id.short())]
    NameInUse {
        /// As typed.
        name: String,
        /// Short id.
        container: String,
        /// Of the image.
        id: Digest,
    },
    /// By id, while a container runs.
    #[error("unable to delete {} (cannot be forced) - image is being used by running container {container}", id.short())]
    Running {
        /// Of the image.
        id: Digest,
        /// Short id.
        container: String,
    },
    /// By id, while a stopped container is left.
    #[error("unable to delete {} (must be forced) - image is being used by stopped container {container}", id.short())]
    Stopped {
        /// Of the image.
        id: Digest,
        /// Short id.
        container: String,
    },
    /// By id, with several names.
    #[error("unable to delete {} (must be forced) - image is referenced in multiple repositories", id.short())]
    SeveralNames {
        /// Of the image.
        id: Digest,
    },
    /// `image mount` shows it somewhere.
    #[error("unable to delete {} (cannot be forced) - image is mounted on {} (conex image unmount takes it off)", id.short(), path.display())]
    Mounted {
        /// Of the image.
        id: Digest,
        /// Where.
        path: std::path::PathBuf,
    },
    /// A container is being made from it right now, or it is being loaded or pulled.
    #[error("unable to delete {} - it is being loaded, pulled or started from at this moment; try again", id.short())]
    Busy {
        /// Of the image.
        id: Digest,
    },
}

/// How long a starting container is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Images by id, with their layers where they can be read.
pub(crate) type Images = BTreeMap<Digest, Option<Image>>;
type InUse<'a> = &'a dyn Fn(&Digest) -> Vec<Usage>;

impl Store {
    /// Removes a name, or an image with its last one. `in_use` tells which containers were made from an image id.
    pub fn remove(&self, name: &str, force: bool, in_use: InUse<'_>) -> Result<Vec<Removed>> {
        match self.root_named(name)? {
            Some(root) => self.remove_name(name, root, force, in_use),
            None => self.remove_id(name, force, in_use),
        }
    }

    /// The root that is meant by `name`, if it is a reference's.
    fn root_named(&self, name: &str) -> Result<Option<Root>> {
        let Ok(reference) = name.parse::<Reference>() else { return Ok(None) };
        let exact =
            reference.digest().map_or_else(|| reference.clone(), |digest| reference.with_digest(*digest));
        let target = self.content().get(&exact)?;
        Ok(target.map(|target| Root { name: Name::Reference(exact), target }))
    }

    fn remove_name(&self, name: &str, root: Root, force: bool, in_use: InUse<'_>) -> Result<Vec<Removed>> {
        let claim = self.content().claim()?;
        let (rooted, images) = self.claim_images(&claim, |_| vec![root.clone()])?;
        let meant = match self.resolve(name, None) {
            Ok(image) => image.id,
            // None for this machine, or of damaged documents.
            Err(_) => rooted.iter().find(|one| one.root == root).map_or(root.target.digest, |one| one.id),
        };
        let victims = with_digests(&rooted, &root);
        let kept_elsewhere = |id: &Digest| {
            rooted.iter().any(|other| {
                other.id == *id && other.root.reference().is_some() && !victims.contains(&other.root)
            })
        };
        let gone: Vec<Digest> = images.keys().copied().filter(|id| !kept_elsewhere(id)).collect();
        self.check_mounts(&gone)?;
        let user = gone.iter().find_map(|id| in_use(id).into_iter().next().map(|usage| (*id, usage)));
        let mut removed = Vec::new();
        if let Some((id, usage)) = user {
            if !force {
                let conflict = Conflict::NameInUse { name: name.to_owned(), container: usage.container, id };
                return Err(conflict.into());
            }
            // The containers keep the image; it goes on without a name.
            self.content().keep(&root.target)?;
            self.untag(&victims, meant, &mut removed)?;
            return Ok(removed);
        }
        self.untag(&victims, meant, &mut removed)?;
        self.forget_unnamed(&rooted, &root, &gone)?;
        self.finish(claim, &images, &gone, removed)
    }

    fn remove_id(&self, name: &str, force: bool, in_use: InUse<'_>) -> Result<Vec<Removed>> {
        let image = self.resolve(name, None)?;
        let claim = self.content().claim()?;
        let of_image = |rooted: &[Rooted]| unique_roots(rooted.iter().filter(|rooted| rooted.id == image.id));
        // An index goes as a whole: what else it holds must be free too.
        let (rooted, images) = self.claim_images(&claim, of_image)?;
        let roots = of_image(&rooted);
        if roots.is_empty() {
            return Err(Error::NotFound { name: name.to_owned() });
        }
        self.check_mounts(&images.keys().copied().collect::<Vec<_>>())?;
        let usages: Vec<Usage> = images.keys().flat_map(in_use).collect();
        let id = image.id;
        if let Some(usage) = usages.iter().find(|usage| usage.running) {
            return Err(Conflict::Running { id, container: usage.container.clone() }.into());
        }
        let mut repositories: Vec<_> =
            roots.iter().filter_map(Root::reference).map(Reference::familiar_name).collect();
        repositories.dedup();
        let names =
            roots.iter().filter(|root| root.reference().is_some_and(|name| name.digest().is_none())).count();
        if !force && (names > 1 || repositories.len() > 1) {
            return Err(Conflict::SeveralNames { id }.into());
        }
        let mut removed = Vec::new();
        if let Some(usage) = usages.into_iter().next() {
            if !force {
                return Err(Conflict::Stopped { id, container: usage.container }.into());
            }
            for root in &roots {
                self.content().keep(&root.target)?;
            }
            let named: Vec<Root> = roots.into_iter().filter(|root| root.reference().is_some()).collect();
            self.untag(&named, id, &mut removed)?;
            return Ok(removed);
        }
        self.content().forget_all(&unnamed(&roots))?;
        self.untag(&roots, id, &mut removed)?;
        let gone: Vec<Digest> = images.keys().copied().collect();
        self.finish(claim, &images, &gone, removed)
    }

    /// An image that is mounted keeps its layers, whatever is forced.
    fn check_mounts(&self, images: &[Digest]) -> Result<()> {
        match self.mounted()?.into_iter().find(|mounted| images.contains(&mounted.image)) {
            Some(mounted) => Err(Conflict::Mounted { id: mounted.image, path: mounted.path }.into()),
            None => Ok(()),
        }
    }

    /// Forgets the roots, and notes the names that are gone.
    fn untag(&self, roots: &[Root], id: Digest, removed: &mut Vec<Removed>) -> Result<()> {
        // Somebody else may have been faster; what counts is that the name is gone.
        for (root, forgotten) in roots.iter().zip(self.content().forget_all(roots)?) {
            let reference = root.reference().filter(|_| forgotten);
            removed.extend(reference.map(|reference| Removed::Untagged { name: reference.familiar(), id }));
        }
        Ok(())
    }

    /// Nameless roots of what goes away go too: the same image loaded once more, without a name.
    fn forget_unnamed(&self, rooted: &[Rooted], root: &Root, gone: &[Digest]) -> Result<()> {
        let mut targets: BTreeMap<Digest, (Root, bool)> = BTreeMap::new();
        for other in rooted.iter().filter(|other| other.root.reference().is_none()) {
            let entry = targets.entry(other.root.target.digest).or_insert_with(|| (other.root.clone(), true));
            entry.1 &= gone.contains(&other.id);
        }
        for (unnamed, _) in targets.into_values().filter(|(_, all_gone)| *all_gone) {
            self.content().forget(&unnamed)?;
        }
        // One with the very target of the name is hidden behind it.
        let named = |other: &Rooted| other.root.target.digest == root.target.digest && other.root != *root;
        if !rooted.iter().any(named) {
            self.content().forget(&Root { name: Name::Unnamed, target: root.target.clone() })?;
        }
        Ok(())
    }

    /// Collects, and tells what went: images, and their chains of layers from the top down, as Docker does.
    fn finish(
        &self,
        claim: Claim,
        images: &Images,
        gone: &[Digest],
        mut removed: Vec<Removed>,
    ) -> Result<Vec<Removed>> {
        // A damaged image has no ids to tell of, but leavings to collect.
        if gone.is_empty() && !images.is_empty() {
            return Ok(removed);
        }
        // The ids stay claimed until their blobs are gone: whoever waits to lease one must not find half an image.
        let collected = self.collect_with(&claim, None).unwrap_or_else(|error| {
            // The names are gone, as they should be; only space is not freed.
            log::warn!("cannot delete what is not needed any more: {error}");
            Collected::default()
        });
        self.tell(&collected, images, gone, &mut removed);
        Ok(removed)
    }

    /// Notes what went: images, and their chains of layers from the top down.
    pub(crate) fn tell(
        &self,
        collected: &Collected,
        images: &Images,
        gone: &[Digest],
        removed: &mut Vec<Removed>,
    ) {
        // What somebody is bringing in again at this very moment is not gone.
        for id in gone.iter().filter(|id| !self.content().has(id)) {
            let mut lines = vec![Removed::Deleted(*id)];
            let layers = images.get(id).and_then(Option::as_ref).map(|image| &image.document.rootfs.diff_ids);
            let layers = layers.map_or(&[][..], Vec::as_slice);
            let heights =
                (1..=layers.len()).rev().filter(|height| collected.layers.contains(&layers[height - 1]));
            lines.extend(
                heights.filter_map(|height| ChainId::of(&layers[..height])).map(|c| Removed::Deleted(c.0)),
            );
            // Two images may stand on one chain.
            for line in lines {
                if !removed.contains(&line) {
                    removed.push(line);
                }
            }
        }
    }

    /// The images that the roots lead to, with their layers where they can be read.
    pub(crate) fn images_below(&self, rooted: &[Rooted], roots: &[Root]) -> Images {
        let below = rooted.iter().filter(|rooted| roots.contains(&rooted.root));
        below
            .map(|rooted| (rooted.id, self.image_of_manifest(&rooted.root.target, &rooted.manifest).ok()))
            .collect()
    }

    /// Claims the roots that `roots` picks, by what they point at and by the images below. Only what is found after that
    /// holds: until then a lease may have turned into another name, or an image have gone and come back.
    fn claim_images(
        &self,
        claim: &Claim,
        roots: impl Fn(&[Rooted]) -> Vec<Root>,
    ) -> Result<(Vec<Rooted>, Images)> {
        let mut claimed = BTreeSet::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rooted = self.images_of_roots()?;
            let roots = roots(&rooted);
            let images = self.images_below(&rooted, &roots);
            let targets = roots.iter().map(|root| root.target.digest);
            let new: BTreeSet<Digest> =
                images.keys().copied().chain(targets).filter(|digest| !claimed.contains(digest)).collect();
            if new.is_empty() {
                return Ok((rooted, images));
            }
            let mut busy = None;
            for digest in new {
                if !claim.try_add(&digest)? {
                    busy = Some(digest);
                    break;
                }
                claimed.insert(digest);
            }
            let Some(digest) = busy else { continue };
            // Whoever waits holds nothing that the other may be waiting for.
            for digest in std::mem::take(&mut claimed) {
                claim.release(&digest)?;
            }
            if Instant::now() > deadline {
                // By its id where it can be told.
                let id = images.keys().next().copied().unwrap_or(digest);
                return Err(Conflict::Busy { id }.into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The root, and with the last tag of a repository its digest references, which nobody would miss or remove by hand.
fn with_digests(rooted: &[Rooted], root: &Root) -> Vec<Root> {
    let mut victims = vec![root.clone()];
    let Some(reference) = root.reference().filter(|reference| reference.digest().is_none()) else {
        return victims;
    };
    let siblings = || {
        rooted.iter().map(|other| &other.root).filter(|other| {
            **other != *root
                && other.target.digest == root.target.digest
                && other.reference().is_some_and(|name| name.familiar_name() == reference.familiar_name())
        })
    };
    if siblings().all(|other| other.reference().is_some_and(|name| name.digest().is_some())) {
        victims.extend(siblings().cloned());
        victims.dedup();
    }
    victims
}

/// The nameless roots of the same targets, which are hidden behind the named ones.
pub(crate) fn unnamed(roots: &[Root]) -> Vec<Root> {
    roots.iter().map(|root| Root { name: Name::Unnamed, target: root.target.clone() }).collect()
}

fn unique_roots<'a>(rooted: impl Iterator<Item = &'a Rooted>) -> Vec<Root> {
    let mut roots: Vec<Root> = Vec::new();
    for rooted in rooted {
        if !roots.contains(&rooted.root) {
            roots.push(rooted.root.clone());
        }
    }
    roots
}
