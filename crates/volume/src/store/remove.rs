//! Volumes held, and removed when nobody uses them.

use rustix::fs::FlockOperation;

use super::create::{sync, unseen};
use super::{Held, Volumes};
use crate::{Error, Result, Volume, VolumeName, mount};

/// The kind of a volume that is being removed.
pub(super) const GONE: &str = "gone";

/// See [`Volumes::turn`].
#[derive(Debug)]
pub struct Turn {
    _file: std::fs::File,
}

impl Volumes {
    /// The volume, kept from being removed until [`Held`] is dropped.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn hold(&self, name: &VolumeName) -> Result<(Volume, Held)> {
        let missing = || Error::NotFound { name: name.to_string() };
        let held = Held::take(&self.directory(name), FlockOperation::LockShared)?.ok_or_else(missing)?;
        let volume = self.get(name)?.ok_or_else(missing)?;
        Ok((volume, held))
    }

    /// One's turn at the first contents of a volume that is held shared: a lock of its own, of which nobody holds two.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn turn(&self, name: &VolumeName) -> Result<Turn> {
        let path = self.directory(name).join(super::DOCUMENT);
        let file = std::fs::File::open(&path).map_err(Error::file("open", &path))?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))
            .map_err(Error::errno("lock", &path))?;
        Ok(Turn { _file: file })
    }

    /// The volume, for whoever changes what others of this program depend on: its shared mount.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn hold_alone(&self, name: &VolumeName) -> Result<(Volume, Held)> {
        let missing = || Error::NotFound { name: name.to_string() };
        let held = Held::take(&self.directory(name), FlockOperation::LockExclusive)?.ok_or_else(missing)?;
        let volume = self.get(name)?.ok_or_else(missing)?;
        Ok((volume, held))
    }

    /// The same for a container's end, which does not wait for who reads or writes the whole volume: `None` then.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Document`].
    pub fn hold_alone_soon(&self, name: &VolumeName) -> Result<Option<(Volume, Held)>> {
        let Some(held) = Held::take_soon(&self.directory(name))? else { return Ok(None) };
        Ok(self.get(name)?.map(|volume| (volume, held)))
    }

    /// Removes a volume that nobody uses, and all its data. `users` is asked while no new user can come.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InUse`] with what `users` gives; what `users` says.
    pub fn remove<E: From<Error>>(
        &self,
        name: &VolumeName,
        users: impl FnOnce() -> std::result::Result<Vec<String>, E>,
    ) -> std::result::Result<(), E> {
        self.remove_held(name, Held::take(&self.directory(name), FlockOperation::LockExclusive)?, users)
    }

    /// The same for a container's end, which does not wait for who reads or writes the whole volume: [`Error::NotFound`] then.
    ///
    /// # Errors
    /// As [`Volumes::remove`].
    pub fn remove_soon<E: From<Error>>(
        &self,
        name: &VolumeName,
        users: impl FnOnce() -> std::result::Result<Vec<String>, E>,
    ) -> std::result::Result<(), E> {
        self.remove_held(name, Held::take_soon(&self.directory(name))?, users)
    }

    fn remove_held<E: From<Error>>(
        &self,
        name: &VolumeName,
        held: Option<Held>,
        users: impl FnOnce() -> std::result::Result<Vec<String>, E>,
    ) -> std::result::Result<(), E> {
        // One whose definition cannot be read has to go all the same.
        let held = held.ok_or_else(|| Error::NotFound { name: name.to_string() })?;
        let users = users()?;
        if !users.is_empty() {
            return Err(Error::InUse { name: name.to_string(), users: users.join(", ") }.into());
        }
        Ok(self.erase(name, held)?)
    }

    fn erase(&self, name: &VolumeName, held: Held) -> Result<()> {
        // What was mounted on it is not its data.
        mount::detach(&self.data(name));
        let gone = self.root.join(unseen(GONE)?);
        std::fs::rename(&held.path, &gone).map_err(Error::file("remove", &held.path))?;
        sync(&self.root)?;
        // From here on there is no such volume; what is left of it is cleared by this or the next command.
        Held { path: gone, ..held }.erase()
    }
}
