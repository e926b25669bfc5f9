//! Containers on disk, and the protocol that keeps every command's answer true when any process may be killed at any
//! moment.
//!
//! # What is where
//!
//! | file | what it says | who writes it |
//! |---|---|---|
//! | `ROOT/containers/ID/config.json` | the container exists; what it is ([`Record`]) | its creator; `rename` |
//! | `ROOT/containers/ID/draft.json` | the same, of one that does not exist any more | its remover |
//! | `ROOT/containers/ID/exit` | how the last run went ([`LastRun`]) | the owner |
//! | `ROOT/names/NAME` | the id of the container that has the name | creator, renamer, remover, whoever takes a stale one over |
//! | `RUN/containers/ID/lock` | somebody is at work on the container: the **owner** | the owner |
//! | `RUN/containers/ID/state.json` | what runs now ([`Live`]) | the owner |
//! | `RUN/containers/ID/sock` | where the supervisor listens | the owner |
//!
//! # The owner
//!
//! A supervisor for its whole life, or a verb that creates, starts, removes or reconciles for a moment. It makes the lock
//! file without a name, locks it (an open file description lock: the kernel drops it with the process, and a fork hands
//! it over), and only then links it into place: **a lock file that can be seen and is not locked belonged to somebody
//! who was killed**. An owner that ends well unlinks the lock last. Whoever wants to look only asks the kernel whether
//! the file is locked ([`lock::Presence`]) and takes nothing, so that `ps` gets in nobody's way. A supervisor locks a
//! second byte: only then is `state.json` its owner's word, and not what a dead one left to the owner of this moment.
//!
//! Whoever finds a dead owner's lock takes it over and reconciles ([`reconcile`]): kills what is left in the cgroup,
//! removes the cgroup, and then
//! - without `config.json`: the creation or the removal was cut short; the rest goes (the name is in `draft.json`, or is
//!   looked for);
//! - a `--rm` container goes;
//! - one whose `exit` says "started" ended with 137, when its end is not on record already;
//! - and the run directory goes, the lock last. Cut short itself, it is begun again by the next.
//!
//! # Creating, removing
//!
//! Create: lock, directory, name, the other files, and last `config.json` by rename: before that there is no container,
//! after it a whole one. Remove: kill, cgroup, then `config.json` becomes
//! `draft.json` and the name goes: from there on nobody finds it; then the directory, then the lock.
//! Ids are random, so that an id never comes back.
//!
//! # Names
//!
//! A name is a file made by link(2), so that one of two wins. It counts when the record of the id in it says the same
//! name. Everybody who would unlink a name, or is between claiming one and writing the record, holds a lock on that
//! file ([`names::Claim`]); a killed one loses it, and the name is then seen to be stale and taken over. The lock
//! of a container's own name also covers changes of its record, so that `rename` and `rm` exclude each other.
//!
//! # A run
//!
//! The supervisor writes `exit` = started (durable containers only), makes cgroup and process, writes `state.json`.
//! At the end: `exit` = how, then the run directory goes. Readers see, in this order:
//! locked and `state.json`: that; otherwise `exit`, or "created" without one. "Started" without any run directory means
//! that the machine went down: exited with 255.

pub mod lock;
pub mod names;
pub(crate) mod ranges;
pub mod reconcile;
pub mod record;
pub mod state;
mod words;
pub(crate) mod writable;
pub(crate) mod write;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use conex_oci::{ContainerId, ContainerName};

pub use record::Record;
pub use state::{ContainerState, Exit, LastRun, Live, Process};

use crate::events::{Event, Journal, Subject};
use crate::time::Time;
use crate::{Error, Result};
use lock::Presence;

/// How long another command may take for what it does to a container.
const PATIENCE: Duration = Duration::from_secs(20);

/// The two directories, and where things are in them.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    run: PathBuf,
    cni: conex_network::cni::Settings,
    journal: Arc<Journal>,
    pools: Option<Vec<conex_network::Pool>>,
}

/// In a container's directory: [`LastRun`].
const EXIT: &str = "exit";
/// In a container's directory while a `rename` is going on: both names.
pub(crate) const RENAMING: &str = "renaming.json";

impl Store {
    /// Makes nothing yet.
    pub fn new(root: &Path, run: &Path) -> Self {
        let journal = Arc::new(Journal::new(root.join("events")));
        Self { root: root.to_owned(), run: run.to_owned(), cni: Default::default(), journal, pools: None }
    }

    /// Changes the record of a container, which nobody else does meanwhile.
    ///
    /// # Errors
    /// What `change` says; then nothing is changed.
    pub(crate) fn change_record(
        &self,
        id: &ContainerId,
        mut change: impl FnMut(&mut Record) -> Result<()>,
    ) -> Result<Record> {
        let until = Instant::now() + PATIENCE;
        loop {
            let before = self.must_record(id)?;
            let held = names::hold(&self.names(), before.name.as_str(), id)?;
            // Changed by somebody else, or renamed, before the lock was had.
            let mut record = self.must_record(id)?;
            if held.is_some() && record.name == before.name {
                change(&mut record)?;
                let directory = self.directory(id);
                write::replace_json(&directory, "config.json", &record, write::Durability::Lasting)?;
                return Ok(record);
            }
            if Instant::now() > until {
                return Err(Error::Busy { name: record.name.to_string() });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The networks' definitions and leases.
    pub(crate) fn networks(&self) -> conex_network::Networks {
        conex_network::Networks::open(&self.root, &self.run).with_pools(self.pools.clone())
    }

    /// `ROOT`
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where events are noted.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Notes an event of a container; one whose record cannot be read has none.
    pub(crate) fn event_of(&self, id: &ContainerId, event: impl FnOnce(&Subject) -> Event) {
        if let Ok(Some(record)) = self.record(id) {
            self.journal.write(&event(&Subject::from(&record)));
        }
    }

    /// `RUN`
    pub(crate) fn run_root(&self) -> &Path {
        &self.run
    }

    /// Cuts subnets from other pools than the usual.
    pub(crate) fn set_pools(&mut self, pools: Option<Vec<conex_network::Pool>>) {
        self.pools = pools;
    }

    /// Looks for networks of CNI, and their plugins, elsewhere than usual.
    pub(crate) fn set_cni(&mut self, settings: conex_network::cni::Settings) {
        self.cni = settings;
    }

    /// The networks of CNI, and who is on them.
    pub(crate) fn cni(&self) -> conex_network::cni::Cni {
        conex_network::cni::Cni::open(self.cni.clone(), &self.root)
    }

    /// `RUN/netns`: namespaces that are held for plugins.
    pub(crate) fn namespaces(&self) -> PathBuf {
        self.run.join("netns")
    }

    /// `ROOT/containers`
    pub fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// `RUN/containers`
    pub fn runs(&self) -> PathBuf {
        self.run.join("containers")
    }

    /// `ROOT/containers/ID`
    pub fn directory(&self, id: &ContainerId) -> PathBuf {
        self.root.join("containers").join(id.as_str())
    }

    /// `RUN/containers/ID`
    pub fn run_directory(&self, id: &ContainerId) -> PathBuf {
        self.run.join("containers").join(id.as_str())
    }

    /// `ROOT/names`
    pub fn names(&self) -> PathBuf {
        self.root.join("names")
    }

    /// `ROOT/userns`: ranges of ids that are taken, claimed as names are.
    pub fn ranges(&self) -> PathBuf {
        self.root.join("userns")
    }

    /// The record of a container; `None` when there is no such container.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Document`].
    pub fn record(&self, id: &ContainerId) -> Result<Option<Record>> {
        write::read_json(&self.directory(id).join("config.json"))
    }

    /// The record, or [`Error::NoSuchContainer`].
    ///
    /// # Errors
    /// As [`Store::record`].
    pub fn must_record(&self, id: &ContainerId) -> Result<Record> {
        self.record(id)?.ok_or_else(|| Error::NoSuchContainer { name: id.to_string() })
    }

    /// How the container is, truthfully: a dead owner's container is reconciled first. `None` when that removed it.
    ///
    /// # Errors
    /// When files cannot be read, or the reconciling fails.
    pub fn state(&self, id: &ContainerId) -> Result<Option<ContainerState>> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.presence(id)? {
                Presence::Dead => {
                    if !self.reconcile(id)? {
                        return Ok(None);
                    }
                    // Or somebody else is reconciling it at this moment.
                    continue;
                }
                Presence::Supervised => {
                    if let Some(live) = self.live(id)? {
                        return Ok(Some(live.into()));
                    }
                    // Not running yet, or not any more: its end is on record before `state.json` goes.
                    return match self.last_run(id)? {
                        Some(LastRun::Started { .. }) => Ok(Some(match self.live(id)? {
                            Some(live) => live.into(),
                            None => ContainerState::Created,
                        })),
                        last => Ok(Some(ContainerState::at_rest(last))),
                    };
                }
                // Somebody settles what a dead supervisor left: its word does not count any more.
                Presence::Owned if self.live(id)?.is_some() => {}
                presence => match self.last_run(id)? {
                    Some(LastRun::Started { .. })
                        if presence == Presence::Owned || self.presence(id)? != Presence::Absent => {}
                    last => return Ok(Some(ContainerState::at_rest(last))),
                },
            }
            if Instant::now() > until {
                return Err(Error::Busy { name: id.short().to_owned() });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What the owner says runs now.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Document`].
    pub fn live(&self, id: &ContainerId) -> Result<Option<Live>> {
        write::read_json(&self.run_directory(id).join("state.json"))
    }

    /// How the last run went; `None` before the first. What a power failure has made unreadable had been begun, and is not known to have
    /// ended.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn last_run(&self, id: &ContainerId) -> Result<Option<LastRun>> {
        let path = self.directory(id).join(EXIT);
        match write::read_json(&path) {
            Err(Error::Document { .. }) => {
                log::debug!("{} is damaged: the run that it is of counts as begun", path.display());
                let changed = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
                Ok(Some(LastRun::Started { at: changed.map_or_else(|_| Time::now(), Time::from) }))
            }
            last => last,
        }
    }

    /// Writes that a run begins: the first one is on the disk then. Of later ones a power failure takes the word, and not the container's
    /// having been started.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn begin_run(&self, id: &ContainerId) -> Result<()> {
        let directory = self.directory(id);
        let durability = match directory.join(EXIT).exists() {
            true => write::Durability::Passing,
            false => write::Durability::Lasting,
        };
        write::replace_json(&directory, EXIT, &LastRun::Started { at: Time::now() }, durability)
    }

    /// Writes how the last run went.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn set_last_run(&self, id: &ContainerId, last: &LastRun) -> Result<()> {
        write::replace_json(&self.directory(id), EXIT, last, write::Durability::Passing)
    }

    /// The ids of all containers, and of what is left of some, in no order.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn ids(&self) -> Result<Vec<ContainerId>> {
        let ids = |directory: PathBuf| -> Result<Vec<ContainerId>> {
            let entries = match std::fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(source) => return Err(Error::Read { path: directory, source }),
            };
            Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
        };
        let mut all = ids(self.containers())?;
        let mut running = ids(self.runs())?;
        all.append(&mut running);
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// The container that has a name, when the name counts.
    ///
    /// # Errors
    /// When the name's file or the record cannot be read.
    pub fn named(&self, name: &ContainerName) -> Result<Option<ContainerId>> {
        let Some(id) = names::holder(&self.names(), name.as_str())? else { return Ok(None) };
        let known = self.record(&id)?.is_some_and(|record| record.name == *name);
        Ok(known.then_some(id))
    }
}
