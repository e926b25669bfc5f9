//! What a dead owner left behind, settled. Every step may have been done before; a kill in the middle is the next one's.

use std::os::fd::AsFd;

use conex_cgroup::{Cgroup, CgroupPath, Host};
use conex_oci::{ContainerId, ContainerName};
use serde::Deserialize;

use super::lock::Owned;
use super::names;
use super::ranges;
use super::state::{Exit, LastRun, Live};
use super::{RENAMING, Store, write};
use crate::events::Subject;
use crate::health::Health;
use crate::spec::IdRange;
use crate::time::Time;
use crate::{Error, Result};

/// What removal needs of a record, whatever else is wrong with it.
#[derive(Deserialize)]
struct Remains {
    name: ContainerName,
    cgroup: CgroupPath,
    #[serde(default)]
    id_range: Option<IdRange>,
}

impl Store {
    /// Settles the container of a dead owner; does nothing when it has none, or somebody else is at it. False when
    /// there is no such container (any more).
    ///
    /// # Errors
    /// When something cannot be killed, written or removed.
    pub fn reconcile(&self, id: &ContainerId) -> Result<bool> {
        let Some(owned) = self.visit(id)? else { return Ok(self.record(id)?.is_some()) };
        match self.settle(id, &owned) {
            Ok(true) => owned.finish().map(|()| true),
            Ok(false) => {
                self.erase(id)?;
                owned.finish()?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Clears what is left of something that is no container and has no lock: a creation that was killed between its
    /// first two steps, or that a power cut ended. One that is going on keeps what it has.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn sweep(&self, id: &ContainerId) -> Result<()> {
        if let Some(owned) = self.visit(id)? {
            if self.record(id)?.is_none() {
                self.erase(id)?;
            }
            owned.finish()?;
        }
        Ok(())
    }

    /// Becomes the owner of a container and settles what a dead one left. `None` when somebody else owns it, or when
    /// there is no such container (any more).
    ///
    /// # Errors
    /// As [`Store::reconcile`].
    pub fn own_settled(&self, id: &ContainerId) -> Result<Option<Owned>> {
        let Some(owned) = self.own(id)? else { return Ok(None) };
        self.settled(id, owned)
    }

    /// The same for a visitor ([`Store::visit`]).
    ///
    /// # Errors
    /// As [`Store::reconcile`].
    pub fn visit_settled(&self, id: &ContainerId) -> Result<Option<Owned>> {
        let Some(owned) = self.visit(id)? else { return Ok(None) };
        let Some(owned) = self.settled(id, owned)? else { return Ok(None) };
        if !owned.is_visit() {
            owned.visit()?;
        }
        Ok(Some(owned))
    }

    fn settled(&self, id: &ContainerId, owned: Owned) -> Result<Option<Owned>> {
        if !self.settle(id, &owned)? {
            self.erase(id)?;
            owned.finish()?;
            return Ok(None);
        }
        Ok(Some(owned))
    }

    /// Brings everything but the run directory in order; false when the container has to go.
    fn settle(&self, id: &ContainerId, owned: &Owned) -> Result<bool> {
        let live = self.live(id).unwrap_or_default();
        let Some(record) = self.record(id)? else { return Ok(false) };
        if owned.inherited {
            log::debug!("container {}: its owner was killed; settling", id.short());
            end_group(&record.cgroup)?;
            crate::network::settle(self, id)?;
            crate::volumes::release(self, id, &crate::volumes::volatile(&record));
            crate::devices::take_back(self, id);
        } else {
            // What plugins keep on disk survives the machine, and a plugin that failed when the container ended.
            crate::network::detach(self, id);
        }
        if record.options.auto_remove {
            return Ok(owned.is_visit() || !owned.inherited);
        }
        if let Some(LastRun::Started { at }) = self.last_run(id)? {
            let restarts = match live {
                Some(Live::Running(process) | Live::Paused(process)) => process.restarts,
                Some(Live::Restarting(exit)) => exit.restarts,
                None => 0,
            };
            // With an owner's directory it ran until that owner was killed; without one until the machine went down.
            let (code, error) = match owned.inherited {
                true => (137, "the container's supervisor was killed"),
                false => (255, "the machine went down while the container ran"),
            };
            let exit = Exit {
                code,
                oom_killed: false,
                started_at: Some(at),
                finished_at: Time::now(),
                error: error.to_owned(),
                restarts,
                stopped: false,
                health: Health::read(owned.directory()).unwrap_or_default().map(Health::ended),
            };
            self.set_last_run(id, &LastRun::Ended(exit))?;
            self.journal().write(&Subject::from(&record).event("die").with("exitCode", code));
        }
        // On record: the dead one's word is not needed any more.
        write::unlink(&owned.directory().join("state.json"))?;
        write::unlink(&owned.directory().join("sock"))?;
        Ok(true)
    }

    /// Removes all of a container but its run directory, whose lock the caller holds; kills what runs of it.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn erase(&self, id: &ContainerId) -> Result<()> {
        let remains = self.remains(id, "config.json")?;
        match remains {
            // Whoever owns it has settled it.
            Some(_) => crate::network::clear(self, id)?,
            None => crate::network::settle(self, id)?,
        }
        match remains {
            Some(remains) => end_group(&remains.cgroup)?,
            // Half made or half removed: what it was called is not always known.
            None => match self.remains(id, "draft.json")? {
                Some(remains) => self.forget(id, &remains)?,
                None => {
                    names::forfeit_all(&self.names(), id)?;
                    names::forfeit_all(&self.ranges(), id)?;
                }
            },
        }
        self.erase_ended(id)
    }

    /// The same for a container whose processes and groups are gone.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn erase_ended(&self, id: &ContainerId) -> Result<()> {
        self.disown_ended(id)?;
        crate::volumes::reap(self, id)?;
        self.remove_directory(id)
    }

    /// The first part of that, after which there is no such container any more and its name is free; its files are left, for
    /// `remove_directory` or the next command.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn disown_ended(&self, id: &ContainerId) -> Result<()> {
        let directory = self.directory(id);
        let (record, draft) = (directory.join("config.json"), directory.join("draft.json"));
        while let Some(remains) = self.remains(id, "config.json")? {
            // The lock of the name keeps `rename` out until the record is gone.
            let held = names::hold(&self.names(), remains.name.as_str(), id)?;
            if self.remains(id, "config.json")?.is_some_and(|now| now.name != remains.name) {
                continue;
            }
            std::fs::rename(&record, &draft)
                .map_err(|source| Error::Remove { path: record.clone(), source })?;
            if let Some(held) = held {
                held.forfeit()?;
            }
            self.forget(id, &remains)?;
        }
        // One that cannot be read has to go all the same.
        write::unlink(&record)
    }

    /// What is known of a container that goes; `None` when there is nothing, or nothing that can be read.
    fn remains(&self, id: &ContainerId, file: &str) -> Result<Option<Remains>> {
        match write::read_json(&self.directory(id).join(file)) {
            Err(Error::Document { .. }) => Ok(None),
            remains => remains,
        }
    }

    /// Gives up its name and its range of ids.
    fn forget(&self, id: &ContainerId, remains: &Remains) -> Result<()> {
        self.settle_names(id, None)?;
        if let Some(held) = names::hold(&self.names(), remains.name.as_str(), id)? {
            held.forfeit()?;
        }
        remains.id_range.map_or(Ok(()), |range| ranges::release(self, id, range))
    }

    /// Gives up what a killed `rename` of it left: of the two names that it was between, those that are not `kept`.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub(crate) fn settle_names(&self, id: &ContainerId, kept: Option<&ContainerName>) -> Result<()> {
        let note = self.directory(id).join(RENAMING);
        let between = match write::read_json::<Vec<String>>(&note) {
            Ok(None) => return Ok(()),
            Ok(Some(names)) => names,
            // It was not written whole, so that nothing had been claimed.
            Err(_) => Vec::new(),
        };
        for name in between.iter().filter(|name| kept.is_none_or(|kept| kept.as_str() != **name)) {
            // A name from a file may be anything.
            if name.parse::<ContainerName>().is_ok()
                && let Some(held) = names::hold(&self.names(), name, id)?
            {
                held.forfeit()?;
            }
        }
        write::unlink(&note)
    }

    pub(crate) fn remove_directory(&self, id: &ContainerId) -> Result<()> {
        use rustix::fs::{CWD, Mode, OFlags};
        let path = self.containers();
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let parent = match rustix::fs::openat(CWD, &path, flags, Mode::empty()) {
            Ok(parent) => parent,
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(Error::Read { path, source: errno.into() }),
        };
        conex_image::rootfs::remove_tree(parent.as_fd(), id.as_str().as_ref())
            .map_err(|source| Error::Tree { source })
    }
}

/// Kills whatever is left in the groups and removes them.
pub(crate) fn end_group(path: &CgroupPath) -> Result<()> {
    let host = Host::detect()?;
    let group = Cgroup::open(&host, path)?;
    if group.exists() {
        group.kill()?;
        group.delete()?;
    }
    Ok(())
}
