//! Networks removed.

use std::fs;
use std::io;

use super::lock::Lock;
use super::{Networks, refuse_predefined};
use crate::definition::Network;
use crate::{Error, Result};

impl Networks {
    /// Removes a network that no container is on, by `undo`, which takes its device and rules away, and then its definition. New
    /// containers wait meanwhile and find it gone.
    ///
    /// # Errors
    /// [`Error::InUse`], with what `holder` makes of the containers' ids; [`Error::Predefined`]; what `undo` says.
    pub fn remove(
        &self,
        network: &Network,
        holder: impl Fn(&str) -> String,
        undo: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        refuse_predefined(&network.name, "removed")?;
        let _lock = self.lock()?;
        let leases = self.leases(&network.name);
        let _alone = Lock::alone(&leases)?;
        if self.get(&network.name)?.is_none_or(|now| now.id != network.id) {
            return Err(Error::NotFound { name: network.name.to_string() });
        }
        let mut holders: Vec<_> =
            self.leased(network)?.into_iter().map(|lease| holder(&lease.container)).collect();
        holders.sort();
        holders.dedup();
        if !holders.is_empty() {
            return Err(Error::InUse { name: network.name.to_string(), containers: holders.join(", ") });
        }
        undo()?;
        let path = self.definition(&network.name);
        fs::remove_file(&path).map_err(Error::file("remove", &path))?;
        match fs::remove_dir_all(&leases) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::file("remove", &leases)(error))
            }
            _ => Ok(()),
        }
    }
}
