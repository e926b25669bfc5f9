//! `image mount`: an image's root filesystem at a directory of the host, to look into; and `image unmount`.
//!
//! The mount is read-only, and neither setuid programs nor device nodes of the image count in it. Its directories are those
//! of a [`View`](crate::View), kept, with a `mount.json` that says what is mounted where. It is not there after a reboot,
//! and then neither is the file's meaning: it names the boot, the mount namespace and the device of the mount.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use conex_oci::Digest;
use conex_sys::mount::{Attributes, Change, set_attributes};
use rustix::fs::{Mode, OFlags, major, minor};
use rustix::mount::{MoveMountFlags, UnmountFlags, move_mount, unmount};
use serde::{Deserialize, Serialize};

use crate::view::Place;
use crate::{Error, Image, Result, Store};

const RECORD: &str = "mount.json";

/// An image that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// The image's id.
    pub image: Digest,
    /// Where.
    pub path: PathBuf,
}

/// `mount.json`
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    image: Digest,
    path: PathBuf,
    /// The mount's device as mountinfo writes it: `0:57`.
    device: String,
    /// Whether the directory was made for it.
    made: bool,
    /// `/proc/sys/kernel/random/boot_id`
    boot: String,
    /// `/proc/self/ns/mnt`
    namespace: String,
}

impl Store {
    /// Mounts the image's root on `path`, an existing directory; the same image there already is success. `made` says that the directory
    /// goes again when it is unmounted.
    pub fn mount(&self, image: &Image, path: &Path, made: bool) -> Result<Mounted> {
        let _lease = self.lease(image)?;
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |source| Error::Place { what, path, source }
        };
        let target = open(path).map_err(failed("open", path))?;
        let path = real_path(&target).map_err(failed("look at", path))?;
        if let Some(mounted) = self.mounted()?.into_iter().find(|mounted| mounted.path == path) {
            return match mounted.image == image.id {
                true => Ok(mounted),
                false => Err(Error::MountPoint { path, image: mounted.image }),
            };
        }
        let (root, place) = self.view(image)?.parts();
        let change = Change {
            set: Attributes::RDONLY.with(Attributes::NOSUID).with(Attributes::NODEV),
            ..Change::default()
        };
        set_attributes(root.as_fd(), &change, false).map_err(failed("mount on", &path))?;
        let device =
            rustix::fs::fstat(&root).map_err(|error| failed("mount on", &path)(error.into()))?.st_dev;
        let record = Record {
            image: image.id,
            path: path.clone(),
            device: format!("{}:{}", major(device), minor(device)),
            made,
            boot: boot_id().map_err(failed("mount on", &path))?,
            namespace: namespace().map_err(failed("mount on", &path))?,
        };
        let file = place.path.join(RECORD);
        let bytes = serde_json::to_vec(&record).expect("the record is JSON");
        std::fs::write(&file, bytes).map_err(failed("write", &file))?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&root, c"", &target, c"", flags)
            .map_err(|error| failed("mount on", &path)(error.into()))?;
        place.keep();
        Ok(Mounted { image: image.id, path })
    }

    /// What is mounted in this mount namespace, in order of the paths.
    pub fn mounted(&self) -> Result<Vec<Mounted>> {
        let mut list: Vec<Mounted> = self
            .records()?
            .into_iter()
            .map(|(_, record)| Mounted { image: record.image, path: record.path })
            .collect();
        list.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(list)
    }

    /// The mount point that a person means by `path`, without links; `None` when it is none of ours.
    pub fn mounted_on(&self, path: &Path) -> Option<PathBuf> {
        let path = real_path(&open(path).ok()?).ok()?;
        self.mounted().ok()?.into_iter().map(|mounted| mounted.path).find(|mounted| *mounted == path)
    }

    /// Takes the mount of an image off, and its directory if it was made for it.
    ///
    /// # Errors
    /// Also when something is open in it; `detach` takes it off all the same, and it goes when that is closed.
    pub fn unmount(&self, mounted: &Mounted, detach: bool) -> Result<()> {
        let path = &mounted.path;
        let failed = |error: rustix::io::Errno| match error {
            rustix::io::Errno::BUSY => Error::MountBusy { path: path.clone() },
            error => Error::Place { what: "unmount", path: path.clone(), source: error.into() },
        };
        let Some((place, record)) = self.records()?.into_iter().find(|(_, record)| record.path == *path)
        else {
            return Ok(());
        };
        let detached = if detach { UnmountFlags::DETACH } else { UnmountFlags::empty() };
        unmount(path, UnmountFlags::NOFOLLOW | detached).map_err(failed)?;
        if record.made {
            // Somebody may have put something there before it was mounted over.
            let _ = std::fs::remove_dir(path);
        }
        // With the mount its record means nothing any more; what is left, the next view clears.
        drop(Place::lock(&place).ok().flatten());
        Ok(())
    }

    /// The records of what is mounted here and now, with their directories.
    fn records(&self) -> Result<Vec<(PathBuf, Record)>> {
        let views = self.views();
        let entries = match std::fs::read_dir(&views) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(Error::Place { what: "read", path: views, source }),
        };
        let mounts = Mounts::now();
        let records = entries.flatten().filter_map(|entry| {
            let record = read(&entry.path())?;
            mounts.has(&record).then(|| (entry.path(), record))
        });
        Ok(records.collect())
    }
}

/// Whether something may be mounted from a view's directory. What is mounted in another mount namespace cannot be seen, and
/// is taken to be there until the machine restarts.
pub(crate) fn is_in_use(place: &Path) -> bool {
    let Some(record) = read(place) else { return false };
    let same_boot = boot_id().is_ok_and(|boot| boot == record.boot);
    same_boot && (namespace().ok().as_ref() != Some(&record.namespace) || Mounts::now().has(&record))
}

fn read(place: &Path) -> Option<Record> {
    serde_json::from_slice(&std::fs::read(place.join(RECORD)).ok()?).ok()
}

/// The mount namespace's mounts.
struct Mounts {
    text: Vec<u8>,
    boot: String,
    namespace: String,
}

impl Mounts {
    fn now() -> Self {
        Self {
            text: std::fs::read("/proc/self/mountinfo").unwrap_or_default(),
            boot: boot_id().unwrap_or_default(),
            namespace: namespace().unwrap_or_default(),
        }
    }

    /// Whether the mount of a record is there: by its place and its device (proc_pid_mountinfo(5)).
    fn has(&self, record: &Record) -> bool {
        record.boot == self.boot
            && record.namespace == self.namespace
            && self.text.split(|&byte| byte == b'\n').any(|line| {
                let mut fields = line.split(|&byte| byte == b' ').skip(2);
                fields.next() == Some(record.device.as_bytes())
                    && fields
                        .nth(1)
                        .is_some_and(|place| unescape(place) == record.path.as_os_str().as_bytes())
            })
    }
}

/// `\040` for a space, and so on.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let digits =
            after.get(..3).filter(|digits| byte == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match digits {
            Some(digits) => {
                let value = digits.iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                out.push(value as u8);
                rest = &after[3..];
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}

fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

fn namespace() -> io::Result<String> {
    Ok(std::fs::read_link("/proc/self/ns/mnt")?.to_string_lossy().into_owned())
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Where an open directory is, without links.
fn real_path(directory: &OwnedFd) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_have_their_spaces_back() {
        assert_eq!(unescape(b"/a\\040b\\134c"), b"/a b\\c");
        assert_eq!(unescape(b"/a\\04"), b"/a\\04");
    }

    #[test]
    fn only_this_boots_mounts_count() {
        let record = |boot: &str, device: &str| Record {
            image: Digest::of(b""),
            path: "/mnt/a b".into(),
            device: device.to_owned(),
            made: false,
            boot: boot.to_owned(),
            namespace: "n".to_owned(),
        };
        let mounts = Mounts {
            text: b"1 2 0:57 / /mnt/a\\040b ro,nosuid - overlay overlay ro\n".to_vec(),
            boot: "b".to_owned(),
            namespace: "n".to_owned(),
        };
        assert!(mounts.has(&record("b", "0:57")));
        assert!(!mounts.has(&record("c", "0:57")));
        assert!(!mounts.has(&record("b", "0:58")));
    }
}
