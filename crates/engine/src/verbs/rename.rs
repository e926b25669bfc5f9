//! `rename`: the new name is claimed before the old one is given up, and both are locked while the record changes.

use conex_oci::{ContainerId, ContainerName};

use super::create::claim;
use crate::events::Subject;
use crate::store::names::{self, Claimed};
use crate::store::write::{self, Durability};
use crate::supervise::wire::Request;
use crate::{Engine, Error, Result};

impl Engine {
    /// Gives a container another name.
    ///
    /// # Errors
    /// [`Error::NameInUse`], [`Error::SameName`].
    pub fn rename(&self, id: &ContainerId, name: &ContainerName) -> Result<()> {
        let store = &self.parts.store;
        loop {
            let record = store.must_record(id)?;
            if record.name == *name {
                return Err(Error::SameName);
            }
            let Some(old) = names::hold(&store.names(), record.name.as_str(), id)? else {
                // Lost to a damaged file system: then the record alone says the name, and claiming it is free.
                match claim(store, id, &record.name)? {
                    Claimed::Ours(_) => continue,
                    Claimed::Taken(holder) => {
                        return Err(Error::NameInUse { name: record.name.to_string(), id: holder });
                    }
                }
            };
            // Another rename, or a removal, that was faster than the lock.
            let mut current = store.must_record(id)?;
            if current.name != record.name {
                continue;
            }
            let new = match claim(store, id, name)? {
                Claimed::Ours(new) => new,
                Claimed::Taken(holder) => {
                    return Err(Error::NameInUse { name: name.to_string(), id: holder });
                }
            };
            current.name = name.clone();
            if let Err(error) =
                write::replace_json(&store.directory(id), "config.json", &current, Durability::Lasting)
            {
                new.forfeit()?;
                return Err(error);
            }
            old.forfeit()?;
            let event = Subject::from(&current).event("rename");
            self.parts.event(&event.with("oldName", format!("/{}", record.name)));
            return self.tell_names(id);
        }
    }

    /// Has the supervisor of a container that runs tell the name service what it is called now, and where.
    pub(super) fn tell_names(&self, id: &ContainerId) -> Result<()> {
        self.ask_live(id, &Request::Names).map(drop)
    }
}
