//! The first contents of a volume: what the image has where the volume is mounted.
//!
//! They are copied beside the data, under a name that says "not whole" until it says "whole", and only then moved in, name by name. Who
//! is killed leaves either a part, which the next one removes and begins anew, or the whole, which the next one moves on. What a
//! container has written meanwhile is never touched: nothing that is there is replaced.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::Node;
use crate::{Error, Result};

const PART: &[u8] = PART_NAME.as_bytes();
const WHOLE: &[u8] = WHOLE_NAME.as_bytes();
const PART_NAME: &str = ".conex-copying";
const WHOLE_NAME: &str = ".conex-copied";

/// Whether something is left beside the data of a volume that [`populate`] has to bring to its end or to clear.
pub(crate) fn is_unfinished(beside: &Path) -> bool {
    [PART_NAME, WHOLE_NAME].into_iter().any(|name| beside.join(name).exists())
}

/// Fills the directory `data` with what is in `from`, when it is empty. `beside` is a directory on the same mount for the time being,
/// which may be `data` itself. `lasting` writes to the disk before the contents count. It is the caller's
/// turn at it ([`Volumes::turn`](crate::Volumes::turn)). Says whether
/// anything was done.
///
/// # Errors
/// When something cannot be copied; then the volume is empty as before.
pub fn populate(
    beside: BorrowedFd<'_>,
    data: BorrowedFd<'_>,
    from: Option<BorrowedFd<'_>>,
    owner: &dyn Fn(u32) -> u32,
    lasting: bool,
) -> Result<bool> {
    let (beside, data) = (super::reopen(beside)?, super::reopen(data)?);
    conex_archive::remove_tree(beside.as_fd(), OsStr::from_bytes(PART))?;
    if let Some(whole) = super::enter(beside.as_fd(), WHOLE, WHOLE)? {
        move_in(&beside, &whole, &data)?;
        return Ok(true);
    }
    let is_empty = super::names(&data, b"")?.iter().all(|name| **name == *PART || **name == *WHOLE);
    let (Some(from), true) = (from, is_empty) else { return Ok(false) };
    let Some(node) = Node::open(from, b".", b"")? else { return Ok(false) };
    if node.kind() != FileType::Directory {
        return Ok(false);
    }
    let failed = Error::tree("create", PART);
    rustix::fs::mkdirat(&beside, PART, Mode::RWXU).map_err(&failed)?;
    let copied = fill(&beside, from, owner, lasting);
    if copied.is_err() {
        conex_archive::remove_tree(beside.as_fd(), OsStr::from_bytes(PART))?;
    }
    move_in(&beside, &copied?, &data)?;
    Ok(true)
}

fn fill(
    beside: &OwnedFd,
    from: BorrowedFd<'_>,
    owner: &dyn Fn(u32) -> u32,
    lasting: bool,
) -> Result<OwnedFd> {
    let part =
        super::enter(beside.as_fd(), PART, PART)?.ok_or_else(|| Error::tree("enter", PART)(Errno::NOENT))?;
    super::copy(from, part.as_fd(), owner)?;
    if lasting {
        rustix::fs::syncfs(&part).map_err(Error::tree("write", PART))?;
    }
    rustix::fs::renameat(beside, PART, beside, WHOLE).map_err(Error::tree("rename", PART))?;
    Ok(part)
}

/// Each step may have been done before.
fn move_in(beside: &OwnedFd, whole: &OwnedFd, data: &OwnedFd) -> Result<()> {
    for name in super::names(whole, b"")? {
        let moved = renameat_with(whole, &*name, data, &*name, RenameFlags::NOREPLACE);
        match moved {
            // Somebody who has the volume without its first contents has made it; his counts.
            Ok(()) | Err(Errno::EXIST | Errno::NOENT) => {}
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::renameat(whole, &*name, data, &*name).map_err(Error::tree("rename", &name))?;
            }
            Err(errno) => return Err(Error::tree("rename", &name)(errno)),
        }
    }
    if let Some(node) = Node::open(whole.as_fd(), b".", b"")? {
        dress(&node, data)?;
    }
    rustix::fs::renameat(beside, WHOLE, beside, PART).map_err(Error::tree("rename", WHOLE))?;
    Ok(conex_archive::remove_tree(beside.as_fd(), OsStr::from_bytes(PART))?)
}

/// The directory of the data itself: as the one that was copied.
fn dress(node: &Node, data: &OwnedFd) -> Result<()> {
    use rustix::fs::{Gid, Timespec, Timestamps, Uid, XattrFlags};
    let failed = |what| Error::tree(what, b"");
    let stat = &node.stat;
    rustix::fs::fchown(data, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
        .map_err(failed("set the owner of"))?;
    for (name, value) in node.attributes(b"")? {
        match rustix::fs::fsetxattr(data, &name[..], &value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(errno) => return Err(failed("set an extended attribute of")(errno)),
        }
    }
    rustix::fs::fchmod(data, Mode::from_raw_mode(node.mode())).map_err(failed("set the mode of"))?;
    let mtime = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ };
    rustix::fs::futimens(data, &Timestamps { last_access: mtime, last_modification: mtime })
        .map_err(failed("set the times of"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::OFlags;

    use super::*;

    fn open(path: &Path) -> OwnedFd {
        rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    struct Bed {
        place: tempfile::TempDir,
    }

    impl Bed {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            for name in ["image/sub", "data"] {
                fs::create_dir_all(place.path().join(name)).unwrap();
            }
            let image = place.path().join("image");
            fs::write(image.join("a"), "one").unwrap();
            fs::hard_link(image.join("a"), image.join("sub/b")).unwrap();
            symlink("/etc/passwd", image.join("sub/link")).unwrap();
            let hole = fs::File::create(image.join("hole")).unwrap();
            hole.set_len(10 << 20).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&hole, b"middle", 5 << 20).unwrap();
            fs::set_permissions(&image, fs::Permissions::from_mode(0o1777)).unwrap();
            fs::set_permissions(image.join("a"), fs::Permissions::from_mode(0o640)).unwrap();
            Self { place }
        }

        fn path(&self, name: &str) -> std::path::PathBuf {
            self.place.path().join(name)
        }

        fn populate(&self) -> bool {
            let (image, data) = (open(&self.path("image")), open(&self.path("data")));
            let beside = open(self.place.path());
            populate(beside.as_fd(), data.as_fd(), Some(image.as_fd()), &|id| id, false).unwrap()
        }
    }

    #[test]
    fn a_copy_is_whole_and_made_once() {
        let bed = Bed::new();
        assert!(bed.populate());
        let data = bed.path("data");
        assert_eq!(fs::read(data.join("a")).unwrap(), b"one");
        assert_eq!(fs::metadata(&data).unwrap().mode() & 0o7777, 0o1777);
        assert_eq!(fs::metadata(data.join("a")).unwrap().mode() & 0o7777, 0o640);
        let same = |one: &str, two: &str| {
            fs::metadata(data.join(one)).unwrap().ino() == fs::metadata(data.join(two)).unwrap().ino()
        };
        assert!(same("a", "sub/b"));
        assert_eq!(fs::read_link(data.join("sub/link")).unwrap(), Path::new("/etc/passwd"));
        let hole = fs::metadata(data.join("hole")).unwrap();
        assert!(hole.size() == 10 << 20 && hole.blocks() < 256, "{}", hole.blocks());
        let (copy, original) = (fs::read(data.join("hole")), fs::read(bed.path("image/hole")));
        assert!(copy.unwrap() == original.unwrap());
        fs::write(data.join("a"), "mine").unwrap();
        assert!(!bed.populate());
        assert_eq!(fs::read(data.join("a")).unwrap(), b"mine");
    }

    #[test]
    fn a_part_is_begun_anew_and_a_whole_is_moved_on() {
        let bed = Bed::new();
        let part = bed.path(".conex-copying");
        fs::create_dir(&part).unwrap();
        fs::write(part.join("half"), "x").unwrap();
        assert!(bed.populate());
        assert!(!part.exists() && !bed.path("data/half").exists());

        let bed = Bed::new();
        let whole = bed.path(".conex-copied");
        fs::create_dir(&whole).unwrap();
        fs::write(whole.join("left"), "x").unwrap();
        fs::write(whole.join("taken"), "the image's").unwrap();
        fs::write(bed.path("data/taken"), "mine").unwrap();
        assert!(bed.populate());
        assert!(bed.path("data/left").exists() && !whole.exists());
        assert_eq!(fs::read(bed.path("data/taken")).unwrap(), b"mine");
        assert!(!bed.path("data/a").exists(), "it was copied twice");
    }

    #[test]
    fn the_directory_itself_can_be_the_place() {
        let bed = Bed::new();
        let (image, data) = (open(&bed.path("image")), open(&bed.path("data")));
        assert!(populate(data.as_fd(), data.as_fd(), Some(image.as_fd()), &|id| id, true).unwrap());
        let mut names: Vec<_> =
            fs::read_dir(bed.path("data")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a", "hole", "sub"]);
    }

    /// As a container that has the volume, which is a file system of its own, and puts links where the copy is at work.
    #[test]
    fn links_put_in_its_way_lead_the_copy_nowhere() {
        const FIFOS: usize = 1500;
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for name in ["image", "data", "links"] {
            fs::create_dir(path(name)).unwrap();
        }
        let image = open(&path("image"));
        for number in 0..FIFOS {
            let mode = Mode::from_raw_mode(0o4666);
            rustix::fs::mknodat(&image, format!("{number:04}"), FileType::Fifo, mode, 0).unwrap();
            rustix::fs::chmodat(&image, format!("{number:04}"), mode, rustix::fs::AtFlags::empty()).unwrap();
            symlink(path("target"), path(&format!("links/{number:04}"))).unwrap();
        }
        fs::write(path("target"), "the host's").unwrap();
        fs::set_permissions(path("target"), fs::Permissions::from_mode(0o600)).unwrap();
        let (data, links) = (open(&path("data")), open(&path("links")));
        let done = AtomicBool::new(false);
        let exchanged = std::thread::scope(|scope| {
            let attacker = scope.spawn(|| {
                let mut exchanged = 0;
                let mut number = 0;
                while !done.load(Ordering::Relaxed) && number < FIFOS {
                    let Ok(part) = rustix::fs::openat(&data, PART, OFlags::PATH, Mode::empty()) else {
                        continue;
                    };
                    let name = format!("{number:04}");
                    // Until the name is there.
                    if renameat_with(&part, &name, &links, &name, RenameFlags::EXCHANGE).is_ok() {
                        exchanged += 1;
                        number += 1;
                    }
                }
                exchanged
            });
            let outcome = populate(data.as_fd(), data.as_fd(), Some(image.as_fd()), &|id| id, false);
            done.store(true, Ordering::Relaxed);
            outcome.unwrap();
            attacker.join().unwrap()
        });
        assert!(exchanged > 0, "the attack did not meet the copy");
        assert_eq!(fs::metadata(path("target")).unwrap().mode() & 0o7777, 0o600);
    }
}
