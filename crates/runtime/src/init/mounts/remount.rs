//! `remount`: what is mounted at the destination changes, with `bind` the mount alone, else its filesystem too.

use std::os::fd::AsFd;
use std::path::Path;

use conex_sys::mount::{Attributes, Change, set_attributes};
use rustix::io::Errno;
use rustix::mount::FsPickFlags;

use super::{Failure, Root};
use crate::beneath;
use crate::sources::PlannedMount;

pub(super) fn change(root: &Root<'_>, planned: &PlannedMount<'_>) -> Result<(), Failure> {
    let options = &planned.options;
    let place = match planned.destination.as_ref() {
        path if path == Path::new("/") => root.tree.try_clone_to_owned()?,
        path => beneath::open(root.tree, path)?,
    };
    for (switches, recursive) in [(options.all, true), (options.own, false)] {
        if !switches.is_empty() {
            let change = Change { set: switches.set, clear: switches.clear, ..Change::default() };
            set_attributes(place.as_fd(), &change, recursive)?;
        }
    }
    let filesystem = !options.data.is_empty()
        || !options.superblock.is_empty()
        || options.own.set.contains(Attributes::RDONLY);
    if options.bind.is_none() && filesystem {
        reconfigure(planned, place.as_fd())?;
    }
    if let Some((kind, reach)) = options.propagation {
        let change = Change { propagation: Some(kind), ..Change::default() };
        set_attributes(place.as_fd(), &change, reach == crate::options::Recursion::All)?;
    }
    Ok(())
}

fn reconfigure(planned: &PlannedMount<'_>, place: std::os::fd::BorrowedFd<'_>) -> Result<(), Failure> {
    let flags = FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH;
    let context = rustix::mount::fspick(place, "", flags)?;
    let fd = context.as_fd();
    let configure = || -> Result<(), Errno> {
        for flag in &planned.options.superblock {
            rustix::mount::fsconfig_set_flag(fd, *flag)?;
        }
        for (key, value) in &planned.options.data {
            match value {
                Some(value) => rustix::mount::fsconfig_set_string(fd, key, value)?,
                None => rustix::mount::fsconfig_set_flag(fd, key)?,
            }
        }
        rustix::mount::fsconfig_reconfigure(fd)
    };
    Ok(configure()?)
}
