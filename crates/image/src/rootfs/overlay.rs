//! The overlay mount itself, one option at a time (Linux 6.7, `lowerdir+`).
//!
//! The options are Docker's (overlay2), but said aloud, as a kernel's or a distribution's defaults differ:
//! `index=off`: no hard-link index, which would refuse a writable layer that is mounted again over other layers;
//! `metacopy=off`: the writable layer has whole files, or it could not become a layer of its own;
//! `redirect_dir=nofollow`: no directory of the writable layer refers to another by name (renaming a directory of an image
//! gives EXDEV, and mv copies it), and none of a layer can lead overlayfs anywhere.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use conex_archive::OverlayXattrs;
use conex_sys::mount::{Change, set_attributes};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_fd,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, open_tree,
};

use super::{Result, RootfsError, Stack};

/// All options that have a fixed value.
pub(super) const OPTIONS: [(&str, &str); 3] =
    [("index", "off"), ("metacopy", "off"), ("redirect_dir", "nofollow")];

/// fsconfig takes no longer string than this, with its NUL (`fs/fsopen.c`).
const LONGEST: usize = 255;

pub(super) fn mount(stack: &Stack<'_>) -> Result<OwnedFd> {
    let request = stack.request;
    let context = Context::open()?;
    context.string("source", "overlay")?;
    for (key, value) in OPTIONS {
        context.string(key, value)?;
    }
    if OverlayXattrs::here() == OverlayXattrs::User {
        context.flag("userxattr")?;
    }
    if request.volatile {
        context.flag("volatile")?;
    }
    // Kept until the overlay has its own clones: the kernel takes a detached mount apart with its descriptor.
    let mapped;
    match (stack.lowers, request.idmap) {
        ([], _) => context.directory("lowerdir+", &empty_lower(request.upper)?)?,
        (lowers, None) => {
            for lower in lowers {
                context.directory("lowerdir+", lower)?;
            }
        }
        (lowers, Some(_)) => {
            mapped = Mapped::clone(stack)?;
            for lower in lowers {
                context.fd("lowerdir+", &mapped.open(lower)?)?;
            }
        }
    }
    context.directory("upperdir", request.upper)?;
    context.directory("workdir", request.work)?;
    context.create(request.read_only)
}

/// An overlay in the making.
struct Context(OwnedFd);

impl Context {
    fn open() -> Result<Self> {
        let opened = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC);
        opened.map(Self).map_err(|error| RootfsError::Overlay {
            what: "open overlayfs".to_owned(),
            source: error.into(),
            log: None,
        })
    }

    fn string(&self, key: &str, value: &str) -> Result<()> {
        fsconfig_set_string(self.0.as_fd(), key, value)
            .map_err(|error| self.error(format!("{key}={value}"), error))
    }

    fn flag(&self, key: &str) -> Result<()> {
        fsconfig_set_flag(self.0.as_fd(), key).map_err(|error| self.error(key.to_owned(), error))
    }

    /// Names a directory by its path; by a handle if the path is too long, or would be unescaped on the way.
    fn directory(&self, key: &str, path: &Path) -> Result<()> {
        let bytes = path.as_os_str().as_bytes();
        if bytes.len() > LONGEST || bytes.contains(&b'\\') || bytes.contains(&b':') {
            return self.fd(key, &open(path)?);
        }
        fsconfig_set_string(self.0.as_fd(), key, path)
            .map_err(|error| self.error(format!("{key}={}", path.display()), error))
    }

    /// Linux 6.13.
    fn fd(&self, key: &str, directory: &OwnedFd) -> Result<()> {
        fsconfig_set_fd(self.0.as_fd(), key, directory.as_fd())
            .map_err(|error| self.error(format!("{key} by descriptor"), error))
    }

    fn create(self, read_only: bool) -> Result<OwnedFd> {
        fsconfig_create(self.0.as_fd()).map_err(|error| self.error("overlayfs refuses".to_owned(), error))?;
        let attributes = if read_only { MountAttrFlags::MOUNT_ATTR_RDONLY } else { MountAttrFlags::empty() };
        fsmount(self.0.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(|error| self.error("fsmount".to_owned(), error))
    }

    /// With the messages that overlayfs left in the context's own log: "e overlay: …", one a read.
    fn error(&self, what: String, error: rustix::io::Errno) -> RootfsError {
        let mut lines = Vec::new();
        let mut buffer = [0; 512];
        while let Ok(length @ 1..) = rustix::io::read(&self.0, &mut buffer) {
            let line = String::from_utf8_lossy(&buffer[..length]);
            lines.push(line.trim_end().get(2..).unwrap_or_default().to_owned());
            if lines.len() == 8 {
                break;
            }
        }
        let log = (!lines.is_empty()).then(|| lines.join("; "));
        RootfsError::Overlay { what, source: error.into(), log }
    }
}

/// The layers seen through another mapping of users: one idmapped mount over the directory that has them all, as a mount
/// for each would have every container of a host wait at the kernel's mount lock.
pub(super) struct Mapped {
    pub(super) mount: OwnedFd,
    pub(super) base: PathBuf,
}

impl Mapped {
    pub(super) fn clone(stack: &Stack<'_>) -> Result<Self> {
        let base = common(stack.lowers);
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let mount =
            open_tree(CWD, &base, flags).map_err(RootfsError::directory("clone the mount of", &base))?;
        let change = Change { idmap: stack.request.idmap, ..Change::default() };
        match set_attributes(mount.as_fd(), &change, false) {
            Ok(()) => Ok(Self { mount, base }),
            Err(source) => Err(RootfsError::Directory { what: "map the owners of", path: base, source }),
        }
    }

    fn open(&self, lower: &Path) -> Result<OwnedFd> {
        let below = lower.strip_prefix(&self.base).expect("the base is what all layers have in common");
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.mount, below, flags, Mode::empty())
            .map_err(RootfsError::directory("open", lower))
    }
}

/// The longest path that all begin with.
fn common(paths: &[&Path]) -> PathBuf {
    let (first, rest) = paths.split_first().expect("there is a layer");
    let mut base = first.to_path_buf();
    while !rest.iter().all(|path| path.starts_with(&base)) {
        base.pop();
    }
    base
}

pub(super) fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(RootfsError::directory("open", path))
}

/// An image without layers: overlayfs wants one all the same. It may not lie in the upper or the work directory.
pub(super) fn empty_lower(upper: &Path) -> Result<PathBuf> {
    let path = upper.with_file_name(super::scratch::EMPTY_LOWER);
    match rustix::fs::mkdir(&path, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(path),
        Err(error) => Err(RootfsError::directory("create", &path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_paths_have_in_common() {
        for (paths, base) in [
            (&["/l/a/fs", "/l/b/fs"][..], "/l"),
            (&["/l/a/fs"], "/l/a/fs"),
            (&["/l/aa/fs", "/l/a/fs"], "/l"),
            (&["/x", "/y"], "/"),
        ] {
            let paths: Vec<_> = paths.iter().map(Path::new).collect();
            assert_eq!(common(&paths), Path::new(base));
        }
    }
}
