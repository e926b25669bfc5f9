//! Volumes made: in a directory that nobody looks for, which then gets its name.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{CWD, FlockOperation, Mode, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::held::Held;
use super::{DATA, DOCUMENT, Volumes};
use crate::{Backing, Error, NewVolume, Result, Volume, VolumeName, quota};

/// The kind of a volume that is being made.
pub(super) const NEW: &str = "new";

impl Volumes {
    /// Makes a volume, or gives the one that is there, when it has the same options or none are asked for. One whose definition is damaged
    /// is defined anew, and keeps its data.
    ///
    /// # Errors
    /// [`Error::Differs`], [`Error::Option`], [`Error::Quota`], [`Error::NoVolume`].
    pub fn create(&self, name: &VolumeName, asked: &NewVolume) -> Result<Volume> {
        match self.create_held(name, asked) {
            Err(Error::Document { .. }) => self.define(name, asked),
            made => made.map(|(volume, _)| volume),
        }
    }

    /// The same, held, so that it stays until whoever wants it has written that down. A damaged one is an error: who makes a container says
    /// nothing of how its volumes were.
    ///
    /// # Errors
    /// As [`Volumes::create`], and [`Error::Document`].
    pub fn create_held(&self, name: &VolumeName, asked: &NewVolume) -> Result<(Volume, Held)> {
        let backing = Backing::of(&asked.options)?;
        loop {
            if let Some(held) = Held::take(&self.directory(name), FlockOperation::LockShared)? {
                // Volumes come to their names with their definitions, and leave them so.
                let volume = self.get(name)?.ok_or_else(|| Error::NoVolume { path: self.directory(name) })?;
                if !asked.options.is_empty() && asked.options != volume.options {
                    return Err(Error::Differs { name: name.to_string() });
                }
                return Ok((volume, held));
            }
            self.sweep();
            let volume = new(name, asked);
            if let Some(held) = self.make(&volume, &backing, asked.passing)? {
                return Ok((volume, held));
            }
        }
    }

    fn define(&self, name: &VolumeName, asked: &NewVolume) -> Result<Volume> {
        let (directory, volume) = (self.directory(name), new(name, asked));
        let missing = || Error::NotFound { name: name.to_string() };
        let _held = Held::take(&directory, FlockOperation::LockShared)?.ok_or_else(missing)?;
        let written = directory.join(format!(".{DOCUMENT}-{:016x}", u64::from_ne_bytes(super::random()?)));
        write_definition(&written, &volume, true)?;
        std::fs::rename(&written, directory.join(DOCUMENT)).map_err(Error::file("write", &written))?;
        sync(&directory)?;
        Ok(volume)
    }

    /// `None` when another has made one of that name.
    fn make(&self, volume: &Volume, backing: &Backing, passing: bool) -> Result<Option<Held>> {
        let draft = self.draft(NEW)?;
        let made = self.fill(&draft.path, volume, backing, passing);
        let made = made.and_then(|()| rename(&draft.path, &self.directory(&volume.name)));
        match made {
            Ok(true) => {
                if !passing {
                    sync(&self.root)?;
                }
                // Its maker holds it alone; others may look at it now.
                let path = self.directory(&volume.name);
                rustix::fs::flock(&draft.fd, FlockOperation::LockShared)
                    .map_err(Error::errno("lock", &path))?;
                Ok(Some(Held { path, ..draft }))
            }
            refused => {
                let erased = draft.erase();
                refused?;
                erased.map(|()| None)
            }
        }
    }

    fn fill(&self, draft: &Path, volume: &Volume, backing: &Backing, passing: bool) -> Result<()> {
        let data = draft.join(DATA);
        make_directory(&data, 0o755)?;
        rustix::fs::chmod(&data, Mode::from_raw_mode(0o755))
            .map_err(Error::errno("set the mode of", &data))?;
        if let &Backing::Directory { size: Some(bytes) } = backing {
            quota::limit_volume(&data, &draft.join("image.ext4"), bytes)?;
        }
        write_definition(&draft.join(DOCUMENT), volume, !passing)?;
        if !passing {
            sync(&data)?;
            sync(draft)?;
        }
        Ok(())
    }

    /// A new directory with a name that nobody looks for, held alone.
    pub(super) fn draft(&self, kind: &str) -> Result<Held> {
        loop {
            let path = self.root.join(unseen(kind)?);
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    // Containers make device nodes and setuid programs in volumes: no other user of the host may get there.
                    make_directory(&self.root, 0o700)?;
                    continue;
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(Error::file("create", &path)(error)),
            }
            // Between its making and its locking somebody may have taken it for a dead one's.
            if let Some(held) = Held::take(&path, FlockOperation::NonBlockingLockExclusive)? {
                return Ok(held);
            }
        }
    }
}

fn new(name: &VolumeName, asked: &NewVolume) -> Volume {
    Volume {
        name: name.clone(),
        driver: "local".to_owned(),
        options: asked.options.clone(),
        labels: asked.labels.clone(),
        created: Timestamp::now(),
        anonymous: asked.anonymous,
    }
}

fn write_definition(path: &Path, volume: &Volume, lasting: bool) -> Result<()> {
    let failed = Error::file("write", path);
    let mut text = serde_json::to_vec_pretty(volume).expect("a definition is JSON");
    text.push(b'\n');
    let mut file = File::create_new(path).map_err(&failed)?;
    file.write_all(&text).map_err(&failed)?;
    if lasting { file.sync_all().map_err(&failed) } else { Ok(()) }
}

/// `.new-<random>`
pub(super) fn unseen(kind: &str) -> Result<OsString> {
    Ok(format!(".{kind}-{:016x}", u64::from_ne_bytes(super::random()?)).into())
}

/// False when the name is taken.
fn rename(from: &Path, to: &Path) -> Result<bool> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        // A file system without the flag: a directory is replaced only when it is empty, which a volume's never is.
        Err(Errno::INVAL | Errno::NOSYS) => match std::fs::rename(from, to) {
            Err(error) if matches!(error.raw_os_error(), Some(17 | 39)) => Ok(false),
            renamed => renamed.map(|()| true).map_err(Error::file("create", to)),
        },
        Err(errno) => Err(Error::errno("create", to)(errno)),
    }
}

fn make_directory(path: &Path, mode: u32) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(Error::file("create", path))
}

pub(super) fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(Error::file("write", path))
}
