//! `image prune`: images that no container was made from go, by Docker's rules: the nameless ones, or all.
//!
//! Nothing here waits. An image that cannot be claimed at once is being loaded, pulled, saved or started from, and stays;
//! one that is damaged under a name stays too, and is told of.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use conex_content::{Claim, Name, Reachable, Root};
use conex_oci::image::ImageDocument;
use conex_oci::{ChainId, Digest, Reference};
use jiff::Timestamp;

use crate::remove::{Images, unnamed};
use crate::resolve::Holding;
use crate::{Collected, Error, Removed, Result, Store};

/// The images that containers were made from, each with the ids of these.
pub type Users = BTreeMap<Digest, BTreeSet<String>>;

/// What a prune may take, of images and of containers alike; everything set must hold. Docker's `--filter`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneFilter {
    /// `until=`: made at this moment or before, in nanoseconds since 1970. What does not say when it was made stays.
    pub until: Option<i128>,
    /// `label=key[=value]`; all of them.
    pub labels: Vec<(String, Option<String>)>,
    /// `label!=key[=value]`; none of them.
    pub without: Vec<(String, Option<String>)>,
}

impl PruneFilter {
    /// Whether something made at this moment (nanoseconds since 1970) with these labels may go.
    pub fn passes(&self, created: Option<i128>, labels: &BTreeMap<String, String>) -> bool {
        let has = |(key, value): &(String, Option<String>)| {
            labels.get(key).is_some_and(|ours| value.as_ref().is_none_or(|theirs| ours == theirs))
        };
        self.until.is_none_or(|until| created.is_some_and(|created| created <= until))
            && self.labels.iter().all(has)
            && !self.without.iter().any(has)
    }
}

/// What a prune of images takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneOptions {
    /// `-a`: also images with names.
    pub all: bool,
    /// `--filter`
    pub filter: PruneFilter,
}

/// What a prune of images did.
#[derive(Debug, Default)]
pub struct Pruned {
    /// Image by image: names, then ids.
    pub removed: Vec<Removed>,
    /// Bytes of blobs, layers, and what dead processes had not finished.
    pub bytes: u64,
    /// What could not be done.
    pub left: Vec<Left>,
}

/// What a prune could not do; one line each.
#[derive(Debug, thiserror::Error)]
pub enum Left {
    /// A root that has lost a document.
    #[error("image {name} is damaged and left as it is: {source}")]
    Damaged {
        /// Its name, or the short digest of what it points at.
        name: String,
        /// What is wrong.
        source: Box<Error>,
    },
    /// A container's image that is not here any more: its layers cannot be told from the others.
    #[error(
        "no blob and no layer is deleted: a container was made from image {}, which is damaged ({source})",
        id.short()
    )]
    Lost {
        /// The image.
        id: Digest,
        /// What is wrong.
        source: Box<Error>,
    },
    /// Names are gone, blobs are not.
    #[error("cannot delete all that is not needed any more: {source}")]
    Uncollected {
        /// Why.
        source: Box<Error>,
    },
}

impl Store {
    /// Removes the images that no container was made from and that pass the filter; then collects. `users` is asked after the
    /// images are claimed, and what it says then holds.
    ///
    /// # Errors
    /// Those of `users`, and a store that cannot be read. What goes wrong with one image is in [`Pruned::left`].
    pub fn prune<E: From<Error>>(
        &self,
        options: &PruneOptions,
        users: impl Fn() -> Result<Users, E>,
    ) -> Result<Pruned, E> {
        let users = || -> Result<Users, E> {
            let mut users = users()?;
            // What is mounted is looked into.
            for mounted in self.mounted()? {
                users.entry(mounted.image).or_default();
            }
            Ok(users)
        };
        let claim = self.content().claim().map_err(Error::from)?;
        let claimed = self.claim_unused(&claim, options, &users()?)?;
        // Until then a lease may have turned into a container, or into another name.
        let mut used = users()?;
        let (mut pruned, told) = self.forget_claimed(&claim, &claimed, options, &used)?;
        let spared = loop {
            let (id, source) = match self.spared(&used) {
                Ok(spared) => break Ok(spared),
                Err(lost) => lost,
            };
            // A container that has gone since takes its image along, if somebody else prunes. One that is still there was
            // there all the time.
            let now = users()?;
            let both = |containers: &BTreeSet<String>| !containers.is_disjoint(&used[&id]);
            if now.get(&id).is_some_and(both) {
                break Err(Left::Lost { id, source });
            }
            used = now;
        };
        // The ids stay claimed until their blobs are gone: whoever waits to lease one must not find half an image.
        let collected = self.collect_sparing(&claim, spared, &mut pruned);
        self.tell_of(told, &collected, &mut pruned);
        Ok(pruned)
    }

    /// Claims what may go, each image whole or not at all.
    fn claim_unused(&self, claim: &Claim, options: &PruneOptions, users: &Users) -> Result<HashSet<Digest>> {
        let holdings = self.holdings()?;
        let named = named(&holdings);
        let mut claimed = HashSet::new();
        'next: for holding in holdings.iter().filter(|holding| self.may_go(holding, &named, options, users)) {
            let mut new = Vec::new();
            for digest in needed_to_remove(holding).filter(|digest| !claimed.contains(digest)) {
                if !claim.try_add(&digest)? {
                    new.iter().try_for_each(|digest| claim.release(digest))?;
                    continue 'next;
                }
                new.push(digest);
            }
            claimed.extend(new);
        }
        Ok(claimed)
    }

    /// Forgets the roots of what was claimed and is still not used; gives what there will be to tell when it is deleted.
    fn forget_claimed(
        &self,
        claim: &Claim,
        claimed: &HashSet<Digest>,
        options: &PruneOptions,
        users: &Users,
    ) -> Result<(Pruned, Vec<Gone>)> {
        let holdings = self.holdings()?;
        let named = named(&holdings);
        let mut pruned = Pruned::default();
        // A nameless image that is damaged is nobody's, unless it is the one that a container needs.
        let found =
            |id: &Digest| holdings.iter().any(|holding| holding.damage.is_none() && holding.leads_to(id));
        let nobodys = users.keys().all(found) && options.filter == PruneFilter::default();
        let rooted: Vec<_> = holdings.iter().flat_map(|holding| holding.images.iter().cloned()).collect();
        let (mut victims, mut damaged) = (Vec::new(), Vec::new());
        for holding in holdings {
            let claimed = || needed_to_remove(&holding).all(|digest| claimed.contains(&digest));
            if self.may_go(&holding, &named, options, users) && claimed() {
                victims.push(holding);
            } else if let Some(error) = holding.damage {
                let Root { name, target } = &holding.root;
                if *name == Name::Unnamed && nobodys && claim.try_add(&target.digest)? {
                    damaged.push(holding.root);
                } else {
                    let name =
                        holding.root.reference().map_or_else(|| target.digest.short(), Reference::familiar);
                    pruned.left.push(Left::Damaged { name, source: Box::new(error) });
                }
            }
        }
        let roots: Vec<Root> = victims.iter().map(|holding| holding.root.clone()).collect();
        let images = self.images_below(&rooted, &roots);
        let mut told: Vec<Gone> = Vec::new();
        self.content().forget_all(&[unnamed(&roots), damaged].concat())?;
        for (holding, forgotten) in victims.iter().zip(self.content().forget_all(&roots)?) {
            let kept = |id: &Digest| rooted.iter().any(|r| r.id == *id && !roots.contains(&r.root));
            let ids: Vec<Digest> =
                holding.images.iter().map(|image| image.id).filter(|id| !kept(id)).collect();
            let id = holding.images.first().map_or(holding.root.target.digest, |image| image.id);
            let name = holding.root.reference().filter(|_| forgotten).map(|name| (name.familiar(), id));
            match told.iter_mut().find(|other| other.ids == ids) {
                Some(other) => other.names.extend(name),
                None => {
                    let images = ids.iter().filter_map(|id| Some((*id, images.get(id)?.clone()))).collect();
                    told.push(Gone { ids, names: name.into_iter().collect(), images });
                }
            }
        }
        Ok((pruned, told))
    }

    fn collect_sparing(
        &self,
        claim: &Claim,
        spared: Result<Reachable, Left>,
        pruned: &mut Pruned,
    ) -> Collected {
        let collected = match spared {
            Ok(spared) => self.collect_with(claim, Some(&spared)),
            Err(lost) => {
                pruned.left.push(lost);
                let cleared = self.content().clear_temporary();
                cleared.map(|bytes| Collected { bytes, ..Collected::default() }).map_err(Error::from)
            }
        };
        let collected = collected.unwrap_or_else(|error| {
            pruned.left.push(Left::Uncollected { source: Box::new(error) });
            Collected::default()
        });
        pruned.bytes = collected.bytes;
        collected
    }

    fn tell_of(&self, told: Vec<Gone>, collected: &Collected, pruned: &mut Pruned) {
        for Gone { ids, names, images } in told {
            pruned.removed.extend(names.into_iter().map(|(name, id)| Removed::Untagged { name, id }));
            self.tell(collected, &images, &ids, &mut pruned.removed);
        }
    }

    /// Whether the root is of the kind that is asked for, and no container was made from what it leads to.
    fn may_go(
        &self,
        holding: &Holding,
        named: &HashSet<Digest>,
        options: &PruneOptions,
        users: &Users,
    ) -> bool {
        let dangling = holding.root.reference().is_none()
            && !holding.images.iter().any(|image| named.contains(&image.id));
        if holding.damage.is_some()
            || !(options.all || dangling)
            || holding.images.iter().any(|image| users.contains_key(&image.id))
        {
            return false;
        }
        if options.filter == PruneFilter::default() {
            return true;
        }
        // What cannot be asked does not pass.
        self.primary(&holding.root.target, None, None).is_ok_and(|image| {
            let created = image.document.created.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
            options.filter.passes(created.map(Timestamp::as_nanosecond), &image.document.config.labels)
        })
    }

    /// What containers need of their images, whatever has become of these; or the first that cannot be asked.
    pub(crate) fn spared(&self, users: &Users) -> Result<Reachable, (Digest, Box<Error>)> {
        let mut spared = Reachable::default();
        for id in users.keys() {
            let bytes = self.content().read_unsized(id).map_err(|error| (*id, Box::new(error.into())))?;
            let document: ImageDocument = serde_json::from_slice(&bytes).map_err(|source| {
                let malformed = conex_content::Error::Malformed { digest: *id, source };
                (*id, Box::new(malformed.into()))
            })?;
            spared.blobs.insert(*id);
            spared.chains.extend(ChainId::of(&document.rootfs.diff_ids));
            spared.layers.extend(document.rootfs.diff_ids);
        }
        Ok(spared)
    }
}

impl Holding {
    fn leads_to(&self, id: &Digest) -> bool {
        self.images.iter().any(|image| image.id == *id)
    }
}

/// An image, or those of one index, whose names are forgotten.
struct Gone {
    ids: Vec<Digest>,
    names: Vec<(String, Digest)>,
    images: Images,
}

/// Whoever is bringing the root or one of its images has leased one of these.
fn needed_to_remove(holding: &Holding) -> impl Iterator<Item = Digest> {
    holding.images.iter().map(|image| image.id).chain([holding.root.target.digest])
}

/// The images that have a name.
fn named(holdings: &[Holding]) -> HashSet<Digest> {
    let named = holdings.iter().filter(|holding| holding.root.reference().is_some());
    named.flat_map(|holding| &holding.images).map(|image| image.id).collect()
}
