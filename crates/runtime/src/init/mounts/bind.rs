//! Bind mounts: the parent has cloned the source, here its attributes change and it is moved into place.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use conex_sys::mount::{Change, Propagation, set_attributes};
use rustix::io::Errno;

use super::target::{self, Target};
use super::{Failure, Root};
use crate::beneath::{self, Make};
use crate::options::{MountOptions, Recursion};

pub(super) fn attach(
    root: &mut Root<'_>,
    source: BorrowedFd<'_>,
    destination: &Path,
    options: &MountOptions,
) -> Result<(), Failure> {
    let make = if beneath::is_directory(source)? { Make::Directory } else { Make::File };
    let Target { place, is_directory, .. } = target::find(root, destination, make)?;
    match (make, is_directory) {
        (Make::Directory, false) => {
            return Err(Failure::Explained(Errno::NOTDIR, "a directory cannot cover a file".to_owned()));
        }
        (Make::File, true) => {
            return Err(Failure::Explained(Errno::ISDIR, "a file cannot cover a directory".to_owned()));
        }
        _ => {}
    }
    // Something else in the place of /proc could catch what is written there (CVE-2019-16884).
    if destination == Path::new("/proc") && !beneath::is_procfs(source)? {
        let why = "only a proc file system may be there".to_owned();
        return Err(Failure::Explained(Errno::PERM, why));
    }
    change(source, options)?;
    super::attach(source, place.as_fd())?;
    Ok(())
}

/// In as few calls as there are reaches: the mount alone, and it with all below.
fn change(mount: BorrowedFd<'_>, options: &MountOptions) -> Result<(), Failure> {
    let recursive = options.bind == Some(Recursion::All);
    // A clone of a shared mount is its peer: private when nothing else is asked.
    let (propagation, reach) = options.propagation.unwrap_or((Propagation::Private, Recursion::All));
    let mut own = Change { set: options.own.set, clear: options.own.clear, ..Change::default() };
    let mut all = Change { set: options.all.set, clear: options.all.clear, ..Change::default() };
    if reach == Recursion::All {
        all.propagation = Some(propagation);
    } else {
        own.propagation = Some(propagation);
        // The mounts below are peers of the host's as well.
        all.propagation =
            Some(Propagation::Private).filter(|_| recursive && propagation == Propagation::Private);
    }
    if !recursive && options.all.is_empty() {
        own.propagation = Some(propagation);
        return apply(mount, &own, false);
    }
    if all.propagation.is_some() || !options.all.is_empty() {
        apply(mount, &all, true)?;
    }
    if own.propagation.is_some() || !options.own.is_empty() {
        apply(mount, &own, false)?;
    }
    Ok(())
}

fn apply(mount: BorrowedFd<'_>, change: &Change<'_>, recursive: bool) -> Result<(), Failure> {
    set_attributes(mount, change, recursive).map_err(|error| {
        match Errno::from_io_error(&error).unwrap_or(Errno::IO) {
            Errno::PERM if !change.clear.is_empty() => {
                let why =
                    "an option would lift a restriction that this user namespace may not lift".to_owned();
                Failure::Explained(Errno::PERM, why)
            }
            errno => Failure::Plain(errno),
        }
    })
}
