//! `rename`: the new name is claimed before the old one is given up, and both are locked while the record changes. A note in the container's
//! directory has both until that is done, for whoever comes after a kill.

use conex_oci::{ContainerId, ContainerName};

use super::create::claim;
use crate::events::Subject;
use crate::store::RENAMING;
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
                // Another rename was faster; or it was lost to a damaged file system: then the record alone says the name, and
                // claiming it is free.
                match claim(store, id, &record.name)? {
                    Claimed::Ours(lost) => {
                        if store.must_record(id)?.name != record.name {
                            lost.forfeit()?;
                        }
                        continue;
                    }
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
            // What a killed one left; then what will be left if this one is.
            store.settle_names(id, Some(&current.name))?;
            write::replace_json(
                &store.directory(id),
                RENAMING,
                &[current.name.as_str(), name.as_str()],
                Durability::Lasting,
            )?;
            let new = match claim(store, id, name)? {
                Claimed::Ours(new) => new,
                Claimed::Taken(holder) => {
                    write::unlink(&store.directory(id).join(RENAMING))?;
                    return Err(Error::NameInUse { name: name.to_string(), id: holder });
                }
            };
            current.name = name.clone();
            let written = new.sync().and_then(|()| {
                write::replace_json(&store.directory(id), "config.json", &current, Durability::Lasting)
            });
            if let Err(error) = written {
                new.forfeit()?;
                write::unlink(&store.directory(id).join(RENAMING))?;
                return Err(error);
            }
            old.forfeit()?;
            write::unlink(&store.directory(id).join(RENAMING))?;
            let event = Subject::from(&current).event("rename");
            self.parts.event(&event.with("oldName", format!("/{}", record.name)));
            // Its supervisor may want the name's lock before it hears.
            drop(new);
            return self.tell_names(id);
        }
    }

    /// Has the supervisor of a container that runs tell the name service what it is called now, and where.
    pub(super) fn tell_names(&self, id: &ContainerId) -> Result<()> {
        self.ask_live(id, &Request::Names).map(drop)
    }
}
