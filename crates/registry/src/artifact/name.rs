//! A file's name in an artifact is somebody else's word: where it may lead, and opening what it names without ever
//! leaving a directory, whatever symbolic links stand in it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, renameat, unlinkat};

/// The parts of a name that stays below where it begins: relative, no `..`, nothing that is not text.
pub(crate) fn parts(name: &str) -> Option<Vec<&OsStr>> {
    if name.is_empty() || name.len() > 4096 || name.chars().any(char::is_control) || name.ends_with('/') {
        return None;
    }
    let parts: Option<Vec<_>> = Path::new(name)
        .components()
        .filter(|component| *component != Component::CurDir)
        .map(|component| if let Component::Normal(part) = component { Some(part) } else { None })
        .collect();
    parts.filter(|parts| !parts.is_empty() && parts.len() <= 64)
}

/// A file that is being written below a directory. It has its name only once it is whole.
pub(super) struct Draft<'a> {
    directory: OwnedFd,
    temporary: String,
    name: &'a OsStr,
    pub(super) file: std::fs::File,
    done: bool,
}

impl<'a> Draft<'a> {
    /// Makes the directories that `parts` names, following no symbolic link, and a temporary file in the last.
    pub(super) fn create(base: &OwnedFd, parts: &[&'a OsStr], salt: &str) -> io::Result<Self> {
        let Some((name, directories)) = parts.split_last() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut directory = base.try_clone()?;
        for part in directories {
            match mkdirat(&directory, *part, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
            directory = openat(&directory, *part, flags, Mode::empty())?;
        }
        let temporary = format!(".{salt}.part");
        // Left by one that was killed.
        let _ = unlinkat(&directory, temporary.as_str(), AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&directory, temporary.as_str(), flags, Mode::from_raw_mode(0o666))?;
        Ok(Self { directory, temporary, name, file: file.into(), done: false })
    }

    /// Gives the file its name, replacing what had it.
    pub(super) fn publish(mut self) -> io::Result<()> {
        renameat(&self.directory, self.temporary.as_str(), &self.directory, self.name)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.done {
            let _ = unlinkat(&self.directory, self.temporary.as_str(), AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_stay() {
        for good in ["a", "a/b.txt", "./a", ".hidden", "a b", "…"] {
            assert!(parts(good).is_some(), "{good}");
        }
        for bad in ["", "/etc/passwd", "..", "../a", "a/../b", "a/..", ".", "a\nb", "a\0b", "a/"] {
            assert!(parts(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn no_link_leads_out() {
        let (base, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(outside.path(), base.path().join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("x"), base.path().join("file")).unwrap();
        let handle: OwnedFd = std::fs::File::open(base.path()).unwrap().into();
        assert!(Draft::create(&handle, &parts("link/x").unwrap(), "s").is_err());
        // A link in the file's own place is replaced, not followed.
        Draft::create(&handle, &parts("file").unwrap(), "s").unwrap().publish().unwrap();
        assert!(base.path().join("file").symlink_metadata().unwrap().is_file());
        drop(Draft::create(&handle, &parts("deep/er/x").unwrap(), "s").unwrap());
        assert_eq!(std::fs::read_dir(base.path().join("deep/er")).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
