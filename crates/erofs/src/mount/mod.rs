//! Mounts images, detached: the mount lives as long as its descriptor, or as what it is moved into.
//!
//! From Linux 6.12 on EROFS reads an image right out of its file. Before that each file takes a loop device, which goes with the
//! mount. Images are mounted read-only, and device nodes in them work: which of them open is for the container's device filter
//! to say.

mod probe;

use std::fs::File;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen,
};

pub use self::probe::{probe, probe_with};
use crate::error::{Error, Result};
use crate::image::Image;

/// What the kernel reads images through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// Their files (Linux 6.12).
    File,
    /// Loop devices over their files.
    Loop,
}

/// fsconfig takes no longer string than this, with its NUL (`fs/fsopen.c`).
const LONGEST: usize = 255;
/// Bytes of metadata that are read ahead: those of some 80,000 files.
const MOST_AHEAD: u64 = 8 << 20;

/// Mounts the image at `image`, whose files lie on `devices`: the layers' images, in the order of [`Image::devices`] or
/// [`Merged::devices`]; none for a layer by itself.
///
/// [`Image::devices`]: crate::Image::devices
/// [`Merged::devices`]: crate::Merged::devices
///
/// # Errors
/// [`Error::Mount`], with what EROFS itself says where it says anything.
pub fn mount(image: &Path, devices: &[PathBuf], backing: Backing) -> Result<OwnedFd> {
    let context = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC)
        .map_err(|error| failed("open the file system erofs".to_owned(), error))?;
    // What paths lead through, until the kernel has opened all.
    let mut held = Vec::with_capacity(devices.len() + 1);
    let mut set = |key: &str, path: &Path| -> Result<()> {
        let named = match backing {
            Backing::File => Named::file(path)?,
            Backing::Loop => Named::loop_device(path)?,
        };
        let set = fsconfig_set_string(context.as_fd(), key, named.path.as_path());
        set.map_err(|error| error_with_log(&context, format!("{key}={}", path.display()), error))?;
        held.push(named);
        Ok(())
    };
    set("source", image)?;
    read_ahead(image);
    for device in devices {
        set("device", device)?;
    }
    // Or a loop device would be opened for writing.
    fsconfig_set_flag(context.as_fd(), "ro")
        .map_err(|error| error_with_log(&context, "ro".to_owned(), error))?;
    fsconfig_create(context.as_fd())
        .map_err(|error| error_with_log(&context, format!("erofs refuses {}", image.display()), error))?;
    let mounted = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY);
    mounted.map_err(|error| error_with_log(&context, "fsmount".to_owned(), error))
}

/// Has the image's metadata read into the page cache meanwhile. EROFS reads it a page at a time, each when it is wanted, and a
/// first walk over a cold image would wait for a hundred of them one after the other. What cannot be read here, the mount says.
fn read_ahead(image: &Path) {
    let Ok(file) = File::open(image) else { return };
    let Ok(image) = Image::open(&file) else { return };
    let start = image.metadata_start();
    let length = image.length().saturating_sub(start).min(MOST_AHEAD);
    let _ = rustix::fs::fadvise(&file, start, NonZeroU64::new(length), Advice::WillNeed);
}

/// A path for the kernel, and what it leads through.
struct Named {
    path: PathBuf,
    _held: Option<OwnedFd>,
}

impl Named {
    /// The file itself; by a handle if the path is too long for an option.
    fn file(path: &Path) -> Result<Self> {
        if path.as_os_str().as_bytes().len() <= LONGEST {
            return Ok(Self { path: path.to_owned(), _held: None });
        }
        let handle = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| failed(format!("open {}", path.display()), error))?;
        Ok(Self { path: format!("/proc/self/fd/{}", handle.as_raw_fd()).into(), _held: Some(handle) })
    }

    fn loop_device(path: &Path) -> Result<Self> {
        let failed = |what: &str| {
            let what = format!("{what} {}", path.display());
            move |source| Error::Mount { what, source, log: None }
        };
        let file = File::open(path).map_err(failed("open"))?;
        let (device, path) =
            conex_sys::loop_device::attach(file.as_fd()).map_err(failed("attach a loop device to"))?;
        Ok(Self { path, _held: Some(device.into()) })
    }
}

fn failed(what: String, error: Errno) -> Error {
    Error::Mount { what, source: error.into(), log: None }
}

/// With the messages that EROFS left in the context's own log: "e erofs: …", one a read.
fn error_with_log(context: &OwnedFd, what: String, error: Errno) -> Error {
    let mut lines = Vec::new();
    let mut buffer = [0; 512];
    while let Ok(length @ 1..) = rustix::io::read(context, &mut buffer) {
        let line = String::from_utf8_lossy(&buffer[..length]);
        lines.push(line.trim_end().get(2..).unwrap_or_default().to_owned());
        if lines.len() == 8 {
            break;
        }
    }
    let log = (!lines.is_empty()).then(|| lines.join("; "));
    Error::Mount { what, source: error.into(), log }
}
