//! `system check`: the whole store read and compared with what it should be, and mended.
//!
//! The store is *looked* at twice when something is found: what another command is doing at this moment (a pull between its blobs
//! and its reference, a prune between its references and their blobs) is not the same in both looks, and only what is counts.
//! What has been hashed is not hashed again as long as its file is the same.
//!
//! A repair takes the locks that a prune takes: what it removes it claims first, so that nothing goes that somebody is loading,
//! pulling or starting from, and asks again which containers run. Then the store is looked at once more; mended is what is
//! not found any more, and nothing else.
//!
//! It never removes a container, and a reference only when it is told to.

mod blobs;
mod finding;
mod graph;
mod layers;
mod leftovers;
mod merged;
mod reach;
mod references;
mod repair;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use conex_content::Identity;
use conex_oci::{DiffId, Digest};
use conex_registry::Client;

pub use finding::{Cure, Fault, Finding, Outcome, Subject};

use self::blobs::Blobs;
use self::graph::Graph;
use crate::{Error, Result, Store};

/// Between two looks: longer than any command takes from one step to the next.
const PAUSE: Duration = Duration::from_millis(150);

/// What a check is to do.
#[derive(Default)]
pub struct CheckOptions<'a> {
    /// Looks at names and sizes only, and reads no contents but those of manifests and configurations.
    pub quick: bool,
    /// Mends what can be mended.
    pub repair: bool,
    /// Fetches what is missing from the registry that the reference names.
    pub pull: Option<&'a Client>,
    /// Drops the references that nothing mends.
    pub force: bool,
}

/// A container, as far as images are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Its image, as it was typed.
    pub typed: String,
    /// The image's id.
    pub image: Digest,
    /// Whether it runs, or is about to.
    pub is_live: bool,
}

/// All containers.
#[derive(Debug, Clone, Default)]
pub struct Tenants {
    /// Those that are known.
    pub known: Vec<Tenant>,
    /// Those whose records cannot be read, by id, and why. They may need anything.
    pub unknown: Vec<(String, String)>,
}

/// What a check found.
#[derive(Debug, Default)]
pub struct Report {
    /// One by one.
    pub findings: Vec<Finding>,
    /// Blobs that were looked at.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Layers that were looked at.
    pub layers: usize,
    /// Those of them that are directories, whose contents nobody can check.
    pub unchecked: usize,
    /// References that were looked at.
    pub references: usize,
}

impl Report {
    /// Whether something is broken that was not mended.
    pub fn is_damaged(&self) -> bool {
        self.findings.iter().any(Finding::is_damage)
    }
}

/// Asks which containers there are.
pub(crate) type Ask<'a, E> = &'a dyn Fn() -> Result<Tenants, E>;

impl Store {
    /// Reads the store, and mends it if it is asked to. `tenants` tells of the containers, each time that it matters; `advance` hears
    /// how many bytes more have been read, from several threads, of so many in all.
    ///
    /// # Errors
    /// Those of `tenants`, and a store of which nothing can be read. What is wrong with parts of it is in the report.
    pub fn check<E: From<Error>>(
        &self,
        options: &CheckOptions<'_>,
        tenants: impl Fn() -> Result<Tenants, E>,
        advance: &(dyn Fn(u64) + Sync),
    ) -> Result<Report, E> {
        let mut check = Check::new(self, options, advance);
        let mut findings = check.look_twice(&tenants)?;
        if options.repair && !findings.is_empty() {
            findings = repair::all(&mut check, findings, &tenants)?;
        }
        findings.sort_by(|a, b| (!a.fault.is_damage(), &a.subject).cmp(&(!b.fault.is_damage(), &b.subject)));
        Ok(Report {
            findings,
            blobs: check.blobs.len(),
            bytes: check.blobs.iter().map(|(_, blob)| blob.size).sum(),
            layers: check.layers_seen,
            unchecked: check.directories_seen,
            references: check.graph.roots.len(),
        })
    }

    /// Bytes that a check reads: of blobs, and of layers that are images.
    ///
    /// # Errors
    /// A store that cannot be listed.
    pub fn bytes_to_check(&self) -> Result<u64> {
        let blobs: u64 = self.content().survey_blobs()?.iter().map(|entry| entry.size).sum();
        Ok(blobs + layers::bytes(self))
    }
}

/// One check: what has been found out, and the means to find out more.
pub(crate) struct Check<'a> {
    store: &'a Store,
    options: &'a CheckOptions<'a>,
    advance: &'a (dyn Fn(u64) + Sync),
    blobs: Blobs<'a>,
    graph: Graph,
    /// What was found in files that take long to read, as long as they stay the same.
    cache: HashMap<PathBuf, (Identity, Option<Fault>)>,
    sound_layers: BTreeSet<DiffId>,
    /// What no root led to in the look before, and in this one: it counts when it is the same file in both.
    suspects: Option<HashMap<PathBuf, Identity>>,
    suspects_now: HashMap<PathBuf, Identity>,
    layers_seen: usize,
    directories_seen: usize,
    tenants: Tenants,
}

impl<'a> Check<'a> {
    fn new(store: &'a Store, options: &'a CheckOptions<'a>, advance: &'a (dyn Fn(u64) + Sync)) -> Self {
        Self {
            store,
            options,
            advance,
            blobs: Blobs::new(store.content(), options.quick, advance),
            graph: Graph::default(),
            cache: HashMap::new(),
            sound_layers: BTreeSet::new(),
            suspects: None,
            suspects_now: HashMap::new(),
            layers_seen: 0,
            directories_seen: 0,
            tenants: Tenants::default(),
        }
    }

    /// What stays the same for a moment.
    fn look_twice<E: From<Error>>(&mut self, tenants: Ask<'_, E>) -> Result<Vec<Finding>, E> {
        let first = self.look(tenants)?;
        if first.is_empty() {
            return Ok(first);
        }
        std::thread::sleep(PAUSE);
        let second = self.look(tenants)?;
        // How many blobs nobody needs may change; which of them count does not.
        let same = |finding: &Finding| {
            first.iter().any(|before| {
                before.subject == finding.subject
                    && (before.fault == finding.fault || finding.subject == Subject::Unneeded)
            })
        };
        Ok(second.into_iter().filter(same).collect())
    }

    /// All that is wrong now.
    fn look<E: From<Error>>(&mut self, tenants: Ask<'_, E>) -> Result<Vec<Finding>, E> {
        self.tenants = tenants()?;
        self.blobs.refresh()?;
        let mut findings = Vec::new();
        self.follow_roots(&mut findings)?;
        self.layers(&mut findings)?;
        self.merged(&mut findings)?;
        self.reachable(&mut findings)?;
        self.unreachable(&mut findings)?;
        self.leftovers(&mut findings)?;
        self.containers(&mut findings);
        self.suspects = Some(std::mem::take(&mut self.suspects_now));
        Ok(findings)
    }

    /// What the roots lead to now. Whoever had leased something a moment ago and has it no more has written its reference by now: what
    /// is nobody's was found free first, and then not led to.
    fn follow_roots(&mut self, findings: &mut Vec<Finding>) -> Result<()> {
        let roots = self.references(findings)?;
        let store = self.store;
        let is_unpacked = |layer: &DiffId| store.layers().lower(layer).is_ok_and(|path| path.is_some());
        self.graph = Graph::of(roots, &mut self.blobs, &is_unpacked);
        // A name that is lost may have led to anything.
        self.graph.is_certain &= !findings.iter().any(|finding| finding.cure == Cure::SetAside);
        Ok(())
    }

    /// Whether this file was nobody's in the look before, too; in the first it may be.
    fn is_suspect_still(&mut self, path: PathBuf, identity: Identity) -> bool {
        let before = self.suspects.as_ref().is_none_or(|before| before.get(&path) == Some(&identity));
        self.suspects_now.insert(path, identity);
        before
    }

    /// Containers that could not be started again.
    fn containers(&mut self, findings: &mut Vec<Finding>) {
        for (id, why) in &self.tenants.unknown {
            let subject = Subject::Container(id.clone());
            findings.push(Finding::new(subject, Fault::Torn(why.clone()), Cure::Leave));
        }
        for tenant in self.tenants.known.clone() {
            let fault = match self.graph.images.get(&tenant.image).cloned() {
                None => Fault::ImageGone(tenant.image),
                Some(layers) if !self.runs(&tenant.image, &layers) => Fault::ImageBroken(tenant.image),
                Some(_) => continue,
            };
            let mut finding = Finding::new(Subject::Container(tenant.name), fault, Cure::Leave);
            finding.needed_by = vec![tenant.typed];
            findings.push(finding);
        }
    }

    /// Whether an image can be mounted: each layer is here, or can be made of its blob.
    fn runs(&mut self, image: &Digest, layers: &[DiffId]) -> bool {
        self.blobs.is_sound(image)
            && layers.iter().all(|layer| {
                let blobs = self.graph.layers.get(layer).map_or(&[][..], |layered| &layered.blobs);
                self.sound_layers.contains(layer)
                    || blobs.iter().any(|blob| self.blobs.is_sound(&blob.digest))
            })
    }

    /// Whether some image of the root can be run.
    fn root_runs(&mut self, number: usize) -> bool {
        let manifests = &self.graph.roots[number].manifests;
        let images: Vec<(Digest, Vec<DiffId>)> = manifests
            .iter()
            .filter_map(|manifest| Some((manifest.image?, manifest.layers.clone())))
            .collect();
        // What is no image is whole or not.
        let whole = manifests.iter().all(|manifest| manifest.missing == 0);
        match images.is_empty() {
            true => !manifests.is_empty() && whole,
            false => images.iter().any(|(image, layers)| self.runs(image, layers)),
        }
    }
}
