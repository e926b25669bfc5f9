//! Removes directory trees that others have filled: by directory file descriptors, never following a symbolic link,
//! with a bounded number of them however deep the tree is.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, Dir, FileType, IFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// Why a tree could not be removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}: {source}", path.display())]
pub struct RemoveError {
    /// The step that failed.
    pub what: &'static str,
    /// Where, below the directory that was given.
    pub path: PathBuf,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// Directories that are open at once. What lies deeper is first moved up to the top of the tree.
const DEEPEST: usize = 64;

/// Removes `name` in the directory `parent` and everything below it, whatever it is; nothing there is success.
///
/// Files marked immutable or append-only are freed first, and directories that their owner may not enter are opened up:
/// neither may keep a container from being removed. A mount point within stays, as an error.
pub fn remove_tree(parent: BorrowedFd<'_>, name: &OsStr) -> Result<(), RemoveError> {
    let failed = |source: Errno| RemoveError { what: "remove", path: name.into(), source: source.into() };
    let name = CString::new(name.as_bytes()).map_err(|_| failed(Errno::INVAL))?;
    match unlink(parent, &name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR) => Removal { parent, stack: Vec::new(), moved: 0 }.run(name),
        Err(error) => Err(failed(error)),
    }
}

struct Removal<'a> {
    parent: BorrowedFd<'a>,
    /// The directory that is being emptied, last, and those that it lies in.
    stack: Vec<Level>,
    /// Directories moved up so far; makes their names.
    moved: u64,
}

struct Level {
    name: CString,
    entries: Dir,
    /// Whether this pass over the directory has taken anything out of it.
    progress: bool,
}

impl Removal<'_> {
    fn run(mut self, top: CString) -> Result<(), RemoveError> {
        self.enter(top)?;
        while let Some(level) = self.stack.last_mut() {
            match level.entries.next() {
                Some(Ok(entry)) => {
                    let name = entry.file_name();
                    if name != c"." && name != c".." {
                        let (name, kind) = (name.to_owned(), entry.file_type());
                        self.entry(name, kind)?;
                    }
                }
                Some(Err(error)) => return Err(self.error("read", None, error)),
                None => self.finish()?,
            }
        }
        Ok(())
    }

    fn entry(&mut self, name: CString, kind: FileType) -> Result<(), RemoveError> {
        let level = self.stack.last_mut().expect("an entry is read from the last level");
        if kind != FileType::Directory {
            match fd(&level.entries).and_then(|dir| unlink(dir, &name, AtFlags::empty())) {
                Ok(()) | Err(Errno::NOENT) => {
                    level.progress = true;
                    return Ok(());
                }
                // The file system did not say what it was.
                Err(Errno::ISDIR) => {}
                Err(error) => return Err(self.error("remove", Some(&name), error)),
            }
        }
        if self.stack.len() >= DEEPEST { self.move_up(&name) } else { self.enter(name) }
    }

    fn enter(&mut self, name: CString) -> Result<(), RemoveError> {
        let opened = self.last().and_then(|dir| open(dir, &name)).and_then(Dir::new);
        match opened {
            Ok(entries) => {
                self.stack.push(Level { name, entries, progress: false });
                Ok(())
            }
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.error("open", Some(&name), error)),
        }
    }

    /// Removes the directory that has been emptied, or goes over it once more if a pass has missed something.
    fn finish(&mut self) -> Result<(), RemoveError> {
        let Some(mut level) = self.stack.pop() else { return Ok(()) };
        let removed = self.last().and_then(|dir| unlink(dir, &level.name, AtFlags::REMOVEDIR));
        match removed {
            Ok(()) | Err(Errno::NOENT) => {
                if let Some(above) = self.stack.last_mut() {
                    above.progress = true;
                }
                Ok(())
            }
            Err(Errno::NOTEMPTY) if level.progress => {
                level.entries.rewind();
                level.progress = false;
                self.stack.push(level);
                Ok(())
            }
            Err(error) => Err(self.error("remove", Some(&level.name), error)),
        }
    }

    /// Moves a directory to the top of the tree, where the next pass finds it.
    fn move_up(&mut self, name: &CStr) -> Result<(), RemoveError> {
        let moved = loop {
            self.moved += 1;
            let to = format!(".deep-{}", self.moved);
            let (from, top) = (&self.stack[self.stack.len() - 1].entries, &self.stack[0].entries);
            let renamed = fd(from).and_then(|from| {
                fd(top).and_then(|top| rustix::fs::renameat_with(from, name, top, to, RenameFlags::NOREPLACE))
            });
            match renamed {
                Err(Errno::EXIST) => {}
                other => break other,
            }
        };
        moved.map_err(|error| self.error("move", Some(name), error))?;
        self.stack[0].progress = true;
        if let Some(level) = self.stack.last_mut() {
            level.progress = true;
        }
        Ok(())
    }

    /// The directory that holds what comes next.
    fn last(&self) -> rustix::io::Result<BorrowedFd<'_>> {
        self.stack.last().map_or(Ok(self.parent), |level| fd(&level.entries))
    }

    fn error(&self, what: &'static str, name: Option<&CStr>, source: Errno) -> RemoveError {
        let names = self.stack.iter().map(|level| level.name.as_c_str()).chain(name);
        let path = names.map(|name| OsStr::from_bytes(name.to_bytes())).collect();
        RemoveError { what, path, source: source.into() }
    }
}

fn fd(dir: &Dir) -> rustix::io::Result<BorrowedFd<'_>> {
    dir.fd()
}

fn open(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            // By a descriptor: chmod follows a link that somebody has put there meanwhile.
            let held = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let held = rustix::fs::openat(dir, name, held, Mode::empty())?;
            let held = format!("/proc/self/fd/{}", held.as_raw_fd());
            rustix::fs::chmodat(CWD, held, Mode::RWXU, AtFlags::empty())?;
            rustix::fs::openat(dir, name, flags, Mode::empty())
        }
        other => other,
    }
}

/// unlinkat, and once more after what may stand in its way has been cleared.
fn unlink(dir: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(dir, name, flags) {
        Err(Errno::PERM) => {
            // Either may be immutable: the directory, or what is in it.
            free(dir);
            let kind = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode;
            if matches!(FileType::from_raw_mode(kind), FileType::RegularFile | FileType::Directory) {
                let open = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                free(rustix::fs::openat(dir, name, open, Mode::empty())?.as_fd());
            }
            rustix::fs::unlinkat(dir, name, flags)
        }
        Err(Errno::ACCESS) => {
            rustix::fs::fchmod(dir, Mode::RWXU)?;
            rustix::fs::unlinkat(dir, name, flags)
        }
        other => other,
    }
}

/// Takes the immutable and append-only flags off; where there are none to take, unlink says what is wrong.
fn free(file: BorrowedFd<'_>) {
    if let Ok(flags) = rustix::fs::ioctl_getflags(file) {
        let freed = flags - (IFlags::IMMUTABLE | IFlags::APPEND);
        if freed != flags {
            let _ = rustix::fs::ioctl_setflags(file, freed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn links_are_removed_and_not_what_they_lead_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::create_dir_all(path.join("tree/a/b")).unwrap();
        fs::create_dir(path.join("outside")).unwrap();
        fs::write(path.join("outside/f"), "").unwrap();
        symlink("../outside", path.join("tree/link")).unwrap();
        symlink("../../../outside", path.join("tree/a/b/link")).unwrap();
        symlink("outside", path.join("link")).unwrap();
        fs::write(path.join("tree/file"), "").unwrap();
        let parent = fs::File::open(path).unwrap();
        for name in ["tree", "link", "missing"] {
            remove_tree(parent.as_fd(), name.as_ref()).unwrap();
        }
        let left: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["outside"]);
        assert!(path.join("outside/f").exists());
    }

    #[test]
    fn deep_and_wide_and_closed_trees() {
        let directory = tempfile::tempdir().unwrap();
        let mut path = directory.path().join("tree");
        for depth in 0..300 {
            fs::create_dir(&path).unwrap();
            // What the trees that are moved up are named must not matter.
            fs::write(path.join(format!(".deep-{depth}")), "").unwrap();
            path.push("d");
        }
        let wide = directory.path().join("tree/wide");
        fs::create_dir(&wide).unwrap();
        for number in 0..2000 {
            fs::write(wide.join(number.to_string()), "").unwrap();
        }
        for closed in [directory.path().join("tree/d/d"), wide] {
            fs::set_permissions(closed, fs::Permissions::from_mode(0o0)).unwrap();
        }
        remove_tree(fs::File::open(directory.path()).unwrap().as_fd(), "tree".as_ref()).unwrap();
        assert!(fs::read_dir(directory.path()).unwrap().next().is_none());
    }
}
