//! A limit on how much a directory may hold: a project quota where the file system has them, else a file system of its own in a sparse
//! file, over a loop device that the kernel takes away with the last mount.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use conex_sys::{loop_device, quota};
use rustix::fs::{AtFlags, Mode, OFlags};

use crate::{Error, FileSystem, Result, mount};

/// How a directory was limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// By a project's quota: the directory is used as it is.
    Project(u32),
    /// It cannot be, and has to be a file system of its own: see [`DiskImage`].
    Image,
}

/// Smaller than this ext4 is of no use: its own books alone are as large.
const LEAST_IMAGE: u64 = 2 << 20;

/// Limits an empty directory to so many bytes, by a project quota.
///
/// # Errors
/// [`Error::Quota`] when there are quotas and none can be set.
pub fn limit(directory: &Path, bytes: u64) -> Result<Quota> {
    let failed =
        |source: std::io::Error| Error::Quota { path: directory.to_owned(), why: source.to_string() };
    let fd = File::open(directory).map_err(failed)?;
    for _ in 0..64 {
        // The upper half of the positive numbers: what people write into /etc/projects is small.
        let project = u32::from_ne_bytes(crate::store::random()?) & 0x3fff_ffff | 0x4000_0000;
        match quota::is_free(fd.as_fd(), project) {
            Ok(true) => {}
            Ok(false) => continue,
            // There are none on this file system (ESRCH, ENOSYS, …), or not for this user.
            Err(error) => {
                log::debug!("{}: no project quotas: {error}", directory.display());
                return Ok(Quota::Image);
            }
        }
        quota::set_limit(fd.as_fd(), project, bytes).map_err(failed)?;
        quota::set_project(fd.as_fd(), project).map_err(failed)?;
        return Ok(Quota::Project(project));
    }
    Ok(Quota::Image)
}

pub(crate) fn limit_volume(data: &Path, image: &Path, bytes: u64) -> Result<()> {
    match limit(data, bytes)? {
        Quota::Project(_) => Ok(()),
        Quota::Image => DiskImage::create(image, bytes),
    }
}

/// A file system in a file.
#[derive(Debug)]
pub struct DiskImage;

impl DiskImage {
    /// Makes a sparse file of so many bytes with an empty ext4 in it.
    ///
    /// # Errors
    /// [`Error::Quota`], without mkfs.ext4 too.
    pub fn create(path: &Path, bytes: u64) -> Result<()> {
        let failed = |why: String| Error::Quota { path: path.to_owned(), why };
        if bytes < LEAST_IMAGE {
            return Err(failed(
                "this file system has no project quotas, and a file system of its own needs 2m".to_owned(),
            ));
        }
        let file = File::create_new(path).map_err(|error| failed(error.to_string()))?;
        file.set_len(bytes).map_err(|error| failed(error.to_string()))?;
        format(path).map_err(failed)?;
        let mounted = mount(path)?;
        // In the way of the first contents, and nobody's wish.
        rustix::fs::unlinkat(&mounted, "lost+found", AtFlags::REMOVEDIR)
            .map_err(Error::errno("clear the directory lost+found of", path))
    }
}

impl DiskImage {
    /// Mounts it, detached.
    ///
    /// # Errors
    /// [`Error::Quota`], [`Error::Mount`].
    pub fn mount(path: &Path) -> Result<OwnedFd> {
        mount(path)
    }
}

/// No reserved blocks: they would be root's, and the container's processes are mostly root.
fn format(path: &Path) -> std::result::Result<(), String> {
    let mut command = Command::new("mkfs.ext4");
    command.args(["-q", "-F", "-m", "0", "-E", "nodiscard,root_owner=0:0", "--"]).arg(path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let why =
        "this file system has no project quotas, and a file system of its own needs the program mkfs.ext4";
    let mut child =
        command.spawn().map_err(|error| format!("{why} (Debian's package e2fsprogs): {error}"))?;
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(4096).read_to_string(&mut said);
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("mkfs.ext4: {status}: {}", said.lines().last().unwrap_or_default())),
        Err(error) => Err(format!("mkfs.ext4: {error}")),
    }
}

/// Mounts the file system in a file, detached. Two mounts of one file share one loop device, and so one superblock: two would be the
/// end of its contents.
pub(crate) fn mount(image: &Path) -> Result<OwnedFd> {
    let failed = |why: String| Error::Quota { path: image.to_owned(), why };
    let open = |access| {
        let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::open(image, flags, Mode::empty()).map_err(|errno| failed(errno.to_string()))
    };
    // One at a time looks for the device and, without one, makes it. Opened for itself: the device keeps the other one open.
    let lock = open(OFlags::RDONLY)?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)
        .map_err(|errno| failed(errno.to_string()))?;
    let file = open(OFlags::RDWR)?;
    let found = loop_device::find(file.as_fd()).and_then(|found| match found {
        Some(found) => Ok(found),
        None => loop_device::attach_writable(file.as_fd()),
    });
    let (_device, path): (File, PathBuf) = found.map_err(|error| {
        failed(format!(
            "this file system has no project quotas, and there is no loop device to be had: {error}"
        ))
    })?;
    mount::new(&FileSystem {
        kind: "ext4".to_owned(),
        device: path.display().to_string(),
        attributes: conex_sys::mount::Attributes::default(),
        options: Vec::new(),
    })
}
