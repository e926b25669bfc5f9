//! What the two paths of `cp` mean, by Docker's table: directories and files, what is there and what is not, `/` and `/.` at
//! the end.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;

use super::Root;
use super::error::{CopyError, Result, file, shown};

/// As many as the kernel follows.
const LINKS: usize = 40;

/// What is copied.
pub(super) struct Source {
    /// Held, not opened.
    pub(super) file: OwnedFd,
    pub(super) stat: Stat,
    /// What it is called; nothing for `directory/.` and for a root: what is in it, and not it itself.
    name: Vec<u8>,
    path: String,
}

impl Source {
    pub(super) fn is_directory(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::Directory
    }

    /// The first name in an archive of it.
    pub(super) fn top_name(&self) -> Vec<u8> {
        if self.name.is_empty() { b".".to_vec() } else { self.name.clone() }
    }
}

/// Finds what is to be copied. The last name is not followed if it is a link, unless a slash comes after it or `follow` says so.
pub(super) fn source(root: &Root, path: &[u8], follow: bool) -> Result<Source> {
    if path.is_empty() {
        return Err(CopyError::Empty);
    }
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, !follow);
    let held = root.open(path, flags).map_err(|errno| match errno {
        Errno::NOENT => CopyError::Missing { path: shown(path), place: root.place() },
        errno => file("look at", path)(errno),
    })?;
    let stat = rustix::fs::fstat(&held).map_err(file("look at", path))?;
    Ok(Source { file: held, stat, name: name(root, path), path: shown(path) })
}

/// What a source is called where it comes to.
fn name(root: &Root, path: &[u8]) -> Vec<u8> {
    let last = path.rsplit(|&byte| byte == b'/').find(|part| !part.is_empty());
    match last {
        Some(b".") | None => Vec::new(),
        Some(b"..") => {
            let mut parts: Vec<&[u8]> = Vec::new();
            let start = root.working_directory(path);
            for part in start.split(|&byte| byte == b'/').chain(path.split(|&byte| byte == b'/')) {
                match part {
                    b"" | b"." => {}
                    b".." => drop(parts.pop()),
                    part => parts.push(part),
                }
            }
            parts.last().map(|part| part.to_vec()).unwrap_or_default()
        }
        Some(last) => last.to_vec(),
    }
}

/// A directory that something is made in.
pub(super) struct Directory {
    /// Held; opened to be read.
    pub(super) file: OwnedFd,
    root: Root,
    /// From the root, for links in an archive's paths, which are the container's.
    path: Vec<u8>,
}

impl Directory {
    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    /// A directory below that a link may lead to, within the container's root. None on the host, where nothing leads on.
    pub(super) fn follow(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        if !self.root.is_container() {
            return Err(Errno::LOOP);
        }
        let whole = [&self.path[..], b"/", path].concat();
        self.root.open(&whole, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC)
    }
}

/// Where it goes.
pub(super) enum Destination {
    /// Into a directory that is there.
    Directory(Directory),
    /// Under a name in a directory.
    Name { parent: Directory, name: Vec<u8>, exists: bool, with_slash: bool },
}

impl Destination {
    /// The directory, and the name that the source gets in it; no name if its contents go there.
    pub(super) fn place(self, from: &Source, path: &[u8]) -> Result<(Directory, Vec<u8>)> {
        match (self, from.is_directory()) {
            (Self::Directory(directory), _) => Ok((directory, from.name.clone())),
            (Self::Name { exists: true, .. }, true) => {
                Err(CopyError::DirectoryOntoFile { path: from.path.clone() })
            }
            (Self::Name { exists: false, with_slash: true, .. }, false) => {
                Err(CopyError::NoDirectory { path: shown(path) })
            }
            (Self::Name { parent, name, .. }, _) => Ok((parent, name)),
        }
    }
}

/// Finds where to copy to; links are followed, also one to a file that is not there.
pub(super) fn destination(root: Root, path: &[u8]) -> Result<Destination> {
    if path.is_empty() {
        return Err(CopyError::Empty);
    }
    let mut path = path.to_vec();
    for _ in 0..LINKS {
        let held = match root.open(&path, OFlags::PATH | OFlags::CLOEXEC) {
            Ok(held) => Some(held),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(file("look at", &path)(errno)),
        };
        let kind = match &held {
            Some(held) => {
                let stat = rustix::fs::fstat(held).map_err(file("look at", &path))?;
                Some(FileType::from_raw_mode(stat.st_mode))
            }
            None => None,
        };
        match kind {
            Some(FileType::Directory) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let file = root.open(&path, flags).map_err(file("open", &path))?;
                return Ok(Destination::Directory(Directory { file, root, path }));
            }
            Some(FileType::RegularFile) | None => {}
            Some(other) => return Err(CopyError::Special { path: shown(&path), what: word(other) }),
        }
        let with_slash = path.ends_with(b"/");
        let trimmed = path.strip_suffix(b"/.").unwrap_or(&path).trim_ascii_end_slashes();
        let (above, name) = match trimmed.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&trimmed[..=slash], &trimmed[slash + 1..]),
            None => (&b"."[..], trimmed),
        };
        if matches!(name, b"" | b"." | b"..") {
            return Err(CopyError::NoParent { path: shown(&path), place: root.place() });
        }
        // The last name itself: a link goes on, whether to something or nothing.
        let link = root.open(trimmed, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC);
        if let Ok(link) = link
            && let Ok(target) = rustix::fs::readlinkat(link.as_fd(), c"", Vec::new())
        {
            let target = target.into_bytes();
            path = if target.starts_with(b"/") { target } else { [above, b"/", &target].concat() };
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = root.open(above, flags).map_err(|errno| match errno {
            Errno::NOENT => CopyError::NoParent { path: shown(above), place: root.place() },
            errno => file("open", above)(errno),
        })?;
        let (name, above) = (name.to_vec(), above.to_vec());
        let parent = Directory { file: parent, root, path: above };
        return Ok(Destination::Name { parent, name, exists: kind.is_some(), with_slash });
    }
    Err(CopyError::Links { path: shown(&path) })
}

fn word(kind: FileType) -> &'static str {
    match kind {
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        _ => "no regular file",
    }
}

trait Slashes {
    fn trim_ascii_end_slashes(&self) -> &[u8];
}

impl Slashes for [u8] {
    fn trim_ascii_end_slashes(&self) -> &[u8] {
        let end = self.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
        &self[..end]
    }
}
