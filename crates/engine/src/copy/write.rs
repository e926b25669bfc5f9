//! Makes files in a directory tree that somebody else may be changing at the same moment. What is in the way is replaced and
//! never written through; what was made is given its owner, mode and times by a descriptor and not by its name.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use conex_archive::{Header, Kind, Time};
use conex_image::writable::travels;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags, Timespec, Timestamps,
    XattrFlags, makedev,
};
use rustix::io::Errno;

use super::error::{CopyError, Result, file, shown};
use super::fill::fill;
use super::ladder::{self, Ladder};
use super::owner::Owner;
use super::resolve::Directory;
use super::{Contents, Copied, Sink};

/// How often a name is cleared that somebody else takes again.
const ATTEMPTS: usize = 100;
const CAPABILITY: &[u8] = b"security.capability";

/// The tree in the making.
pub(super) struct Tree {
    directory: Directory,
    /// What the source's top is called here; nothing if only its contents come here.
    top: Vec<u8>,
    ladder: Ladder,
    /// The times of the directories that the ladder stands in, set when they are left.
    times: Vec<Option<Time>>,
    owner: Owner,
    copied: Copied,
}

impl Tree {
    pub(super) fn new(directory: Directory, top: Vec<u8>, owner: Owner) -> Result<Self> {
        let held = directory.file.try_clone().map_err(|source| CopyError::File {
            what: "hold",
            path: shown(&top),
            source,
        })?;
        let ladder = Ladder::new(held);
        Ok(Self { directory, top, ladder, times: Vec::new(), owner, copied: Copied::default() })
    }

    fn path(&self, path: &[u8]) -> Vec<u8> {
        match (self.top.is_empty(), path.is_empty()) {
            (true, _) => path.to_vec(),
            (false, true) => self.top.clone(),
            (false, false) => [&self.top[..], b"/", path].concat(),
        }
    }

    /// Leaves the directory that the ladder stands in.
    fn leave(&mut self) -> Result<()> {
        if let Some(Some(time)) = self.times.pop() {
            let path = self.ladder.path();
            match self.ladder.here() {
                Ok(here) => set_times(here, time).map_err(file("set the times of", &path))?,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(file("set the times of", &path)(errno)),
            }
        }
        self.ladder.pop();
        Ok(())
    }

    /// Goes to the directory `parent`, by what is in common with where it is.
    fn enter(&mut self, parent: &[u8]) -> Result<()> {
        let names: Vec<&[u8]> = parent.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
        let common = (0..self.ladder.depth().min(names.len()))
            .take_while(|&step| self.ladder.name(step) == names[step])
            .count();
        while self.ladder.depth() > common {
            self.leave()?;
        }
        for (step, name) in names.iter().enumerate().skip(common) {
            let so_far = names[..=step].join(&b'/');
            let here = self.ladder.here().map_err(file("enter the directory of", &so_far))?;
            let next = match ladder::open(here, name, ResolveFlags::NO_SYMLINKS) {
                Err(Errno::LOOP) => self.directory.follow(&so_far).map_err(file("enter", &so_far))?,
                // An archive need not say every directory.
                Err(Errno::NOENT) => {
                    let header = Header::new(so_far.clone(), Kind::Directory);
                    make_directory(here, name, &header, self.owner, &so_far)?.0
                }
                next => next.map_err(file("enter", &so_far))?,
            };
            self.ladder.push(name, next);
            self.times.push(None);
        }
        Ok(())
    }

    /// Everything but a directory.
    fn make(&mut self, path: &[u8], name: &[u8], header: &Header, contents: Contents<'_>) -> Result<()> {
        if let Kind::HardLink { target } = &header.kind {
            let target = self.path(target);
            return self.link(path, name, &target);
        }
        let owner = self.owner;
        let here = self.ladder.here().map_err(file("enter the directory of", path))?;
        match &header.kind {
            Kind::File { .. } => regular(here, name, header, contents, owner, path),
            Kind::Symlink { target } => {
                fresh(here, name, path, || rustix::fs::symlinkat(&target[..], here, name))?;
                special(here, name, header, owner, path, FileType::Symlink)
            }
            Kind::Fifo => node(here, name, header, owner, path, FileType::Fifo, 0),
            &Kind::CharDevice { major, minor } => {
                let device = makedev(major, minor);
                node(here, name, header, owner, path, FileType::CharacterDevice, device)
            }
            &Kind::BlockDevice { major, minor } => {
                let device = makedev(major, minor);
                node(here, name, header, owner, path, FileType::BlockDevice, device)
            }
            Kind::Directory | Kind::HardLink { .. } | Kind::Unknown { .. } => Ok(()),
        }
    }

    fn link(&mut self, path: &[u8], name: &[u8], target: &[u8]) -> Result<()> {
        let (above, first) = split(target);
        let above = match ladder::open(self.directory.file.as_fd(), above, ResolveFlags::NO_SYMLINKS) {
            Err(Errno::LOOP) => self.directory.follow(above),
            found => found,
        };
        let above = above.map_err(file("find the first name of", path))?;
        let here = self.ladder.here().map_err(file("enter the directory of", path))?;
        fresh(here, name, path, || rustix::fs::linkat(&above, first, here, name, AtFlags::empty()))
    }
}

impl Sink for Tree {
    fn put(&mut self, path: &[u8], header: Header, contents: Contents<'_>) -> Result<()> {
        let path = self.path(path);
        if path.is_empty() {
            // The directory itself, which is there and keeps what it has.
            return Ok(());
        }
        let (parent, name) = split(&path);
        self.enter(parent)?;
        if header.kind == Kind::Directory {
            let here = self.ladder.here().map_err(file("enter the directory of", &path))?;
            let (made, _) = make_directory(here, name, &header, self.owner, &path)?;
            self.ladder.push(name, made);
            self.times.push(Some(header.mtime));
        } else {
            match self.make(&path, name, &header, contents) {
                Err(CopyError::File { source, .. })
                    if matches!(header.kind, Kind::CharDevice { .. } | Kind::BlockDevice { .. })
                        && source.kind() == std::io::ErrorKind::PermissionDenied =>
                {
                    // An ordinary user's.
                    self.copied.skipped += 1;
                    return Ok(());
                }
                made => made?,
            }
        }
        self.copied.files += 1;
        self.copied.bytes += header.size();
        Ok(())
    }

    fn skip(&mut self) {
        self.copied.skipped += 1;
    }

    fn finish(mut self: Box<Self>) -> Result<Copied> {
        self.enter(b"")?;
        Ok(self.copied)
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b".", path),
    }
}

/// Makes what is not there yet, and first takes away what is in the way.
fn fresh<T>(
    here: BorrowedFd<'_>,
    name: &[u8],
    path: &[u8],
    make: impl Fn() -> rustix::io::Result<T>,
) -> Result<T> {
    for _ in 0..ATTEMPTS {
        match make() {
            Err(Errno::EXIST) => {}
            done => return done.map_err(file("create", path)),
        }
        match rustix::fs::unlinkat(here, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => return Err(CopyError::OverDirectory { path: shown(path) }),
            Err(errno) => return Err(file("replace", path)(errno)),
        }
    }
    Err(file("create", path)(Errno::EXIST))
}

/// The directory, opened, and whether it is new. One that is there keeps its owner, unless owners are kept.
fn make_directory(
    here: BorrowedFd<'_>,
    name: &[u8],
    header: &Header,
    owner: Owner,
    path: &[u8],
) -> Result<(OwnedFd, bool)> {
    let is_new = match rustix::fs::mkdirat(here, name, Mode::RWXU) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(file("create", path)(errno)),
    };
    let directory = ladder::open(here, name, ResolveFlags::NO_SYMLINKS).map_err(|errno| match errno {
        Errno::NOTDIR | Errno::LOOP => CopyError::OverFile { path: shown(path) },
        errno => file("open", path)(errno),
    })?;
    let attributes = Attributes { header, owner, path };
    if is_new || owner.keep {
        attributes.set_owner(directory.as_fd())?;
    }
    attributes.set_xattrs(directory.as_fd())?;
    rustix::fs::fchmod(&directory, owner.mode(header)).map_err(file("set the mode of", path))?;
    Ok((directory, is_new))
}

fn regular(
    here: BorrowedFd<'_>,
    name: &[u8],
    header: &Header,
    contents: Contents<'_>,
    owner: Owner,
    path: &[u8],
) -> Result<()> {
    if let Some(mounted) = mounted(here, name, path)? {
        // Taking it away would unmount it; whose it is, and how, is for who mounted it to say.
        return fill(&mounted, header.size(), contents, path);
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = fresh(here, name, path, || rustix::fs::openat(here, name, flags, Mode::RUSR | Mode::WUSR))?;
    fill(&made, header.size(), contents, path)?;
    let attributes = Attributes { header, owner, path };
    attributes.set_owner(made.as_fd())?;
    // Also takes away what setuid and setgid a change of owner has left: so the mode comes after it.
    rustix::fs::fchmod(&made, owner.mode(header)).map_err(file("set the mode of", path))?;
    attributes.set_xattrs(made.as_fd())?;
    set_times(made.as_fd(), header.mtime).map_err(file("set the times of", path))
}

/// A regular file that is mounted in this place, such as a container's /etc/hosts: emptied.
fn mounted(here: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<Option<OwnedFd>> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let Ok(stat) = rustix::fs::statx(here, name, flags, StatxFlags::TYPE) else { return Ok(None) };
    let is_regular = FileType::from_raw_mode(u32::from(stat.stx_mode)) == FileType::RegularFile;
    if !is_regular || !stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return Ok(None);
    }
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = rustix::fs::openat(here, name, flags, Mode::empty()).map_err(file("write", path))?;
    let stat = rustix::fs::fstat(&open).map_err(file("look at", path))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(CopyError::Special { path: shown(path), what: "no regular file" });
    }
    rustix::fs::ftruncate(&open, 0).map_err(file("write", path))?;
    Ok(Some(open))
}

fn node(
    here: BorrowedFd<'_>,
    name: &[u8],
    header: &Header,
    owner: Owner,
    path: &[u8],
    kind: FileType,
    device: u64,
) -> Result<()> {
    fresh(here, name, path, || rustix::fs::mknodat(here, name, kind, Mode::RUSR | Mode::WUSR, device))?;
    special(here, name, header, owner, path, kind)
}

/// Owner, mode and times of what cannot be opened: held by a descriptor that only names it, after a look whether it still is what
/// was made. A name would lead a change of mode through a link.
fn special(
    here: BorrowedFd<'_>,
    name: &[u8],
    header: &Header,
    owner: Owner,
    path: &[u8],
    kind: FileType,
) -> Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = match rustix::fs::openat(here, name, flags, Mode::empty()) {
        Ok(held) => held,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(file("look at", path)(errno)),
    };
    let stat = rustix::fs::fstat(&held).map_err(file("look at", path))?;
    if FileType::from_raw_mode(stat.st_mode) != kind {
        return Ok(());
    }
    Attributes { header, owner, path }.set_owner(held.as_fd())?;
    if kind != FileType::Symlink {
        let link = format!("/proc/self/fd/{}", held.as_raw_fd());
        rustix::fs::chmodat(CWD, link, owner.mode(header), AtFlags::empty())
            .map_err(file("set the mode of", path))?;
    }
    set_times(held.as_fd(), header.mtime).map_err(file("set the times of", path))
}

struct Attributes<'a> {
    header: &'a Header,
    owner: Owner,
    path: &'a [u8],
}

impl Attributes<'_> {
    fn set_owner(&self, held: BorrowedFd<'_>) -> Result<()> {
        let Some((uid, gid)) = self.owner.of_header(self.header) else { return Ok(()) };
        match rustix::fs::chownat(held, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH) {
            // As tar does for an ordinary user.
            Err(Errno::PERM) if !self.owner.container => Ok(()),
            done => done.map_err(file("set the owner of", self.path)),
        }
    }

    fn set_xattrs(&self, open: BorrowedFd<'_>) -> Result<()> {
        for (name, value) in self.header.xattrs.iter().filter(|(name, _)| travels(name)) {
            if name == CAPABILITY && !self.owner.keep && !self.owner.container {
                continue;
            }
            let value = match self.owner.ids {
                Some(ids) => ids.attribute_forth(name, value.clone()),
                None => value.clone(),
            };
            match rustix::fs::fsetxattr(open, &name[..], &value, XattrFlags::empty()) {
                // A file system without them, or a user who may not: as all tools do.
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
                Err(errno) => return Err(file("set an extended attribute of", self.path)(errno)),
            }
        }
        Ok(())
    }
}

fn set_times(held: BorrowedFd<'_>, time: Time) -> rustix::io::Result<()> {
    let time = Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(held, c"", &times, AtFlags::EMPTY_PATH)
}
