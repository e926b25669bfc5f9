//! Mount points for whoever mounts by itself: a restore, whose processes and mounts CRIU makes.

use std::path::Path;

use conex_oci::runtime::{Mount, Spec};
use rustix::fs::{Mode, OFlags};

use crate::Error;
use crate::beneath::{self, Make};

/// Makes the mount points of `spec` that are missing in the root filesystem, never outside of it. Those on a tmpfs of the spec's come
/// with its content, those of control groups with theirs.
///
/// # Errors
/// [`Error::Init`].
pub fn make_mount_points(rootfs: &Path, spec: &Spec) -> Result<(), Error> {
    let failed = |path: &Path| {
        let what = format!("make the mount point {} in {}", path.display(), rootfs.display());
        move |errno| Error::Init { what, errno }
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(rootfs, flags, Mode::empty()).map_err(failed(Path::new("/")))?;
    for mount in &spec.mounts {
        let kind = mount.kind.as_deref().unwrap_or_default();
        if matches!(kind, "cgroup" | "cgroup2") || is_on_tmpfs(&mount.destination, &spec.mounts) {
            continue;
        }
        let source = mount.source.as_deref().filter(|source| is_bind(mount) && source.exists());
        let make = match source {
            Some(source) if !source.is_dir() => Make::File,
            _ => Make::Directory,
        };
        beneath::ensure(std::os::fd::AsFd::as_fd(&root), &mount.destination, make)
            .map_err(failed(&mount.destination))?;
    }
    Ok(())
}

fn is_bind(mount: &Mount) -> bool {
    mount.kind.as_deref() == Some("bind")
        || mount.options.iter().any(|option| option == "bind" || option == "rbind")
}

fn is_on_tmpfs(path: &Path, mounts: &[Mount]) -> bool {
    mounts.iter().any(|mount| {
        mount.kind.as_deref() == Some("tmpfs")
            && path != mount.destination
            && path.starts_with(&mount.destination)
    })
}
