//! The overlay mount on older kernels: mount(2) in a mount namespace that lives for this one call.
//!
//! mount(2) needs a place to mount on, and the host's mount namespace is not it. A thread takes a namespace of its own,
//! mounts there, takes the mount off again as a descriptor (the descriptor table is shared) and ends. The layers are
//! named by descriptor numbers, relative to /proc/self/fd, as all options together have to fit in one page.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

use conex_archive::OverlayXattrs;
use conex_sys::namespace;
use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_change, move_mount,
    open_tree, unmount,
};

use super::overlay::{Mapped, OPTIONS, empty_lower, open};
use super::{Result, RootfsError, Stack};

pub(super) fn mount(stack: &Stack<'_>) -> Result<OwnedFd> {
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().name("mount".to_owned()).spawn_scoped(scope, || in_thread(stack));
        let thread = thread.map_err(|source| failed("start a thread")(source))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "a kernel without lowerdir+ takes this many layers no other way; the paths are our own"
)]
fn in_thread(stack: &Stack<'_>) -> Result<OwnedFd> {
    let request = stack.request;
    // This gives the thread a root and a working directory of its own too (unshare(2), CLONE_NEWNS).
    namespace::unshare(namespace::MOUNT).map_err(failed("unshare the mount namespace"))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| failed("make the mounts private")(error.into()))?;
    if request.idmap.is_some() && !stack.lowers.is_empty() {
        let mapped = Mapped::clone(stack)?;
        move_mount(&mapped.mount, c"", CWD, &mapped.base, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(RootfsError::directory("mount on", &mapped.base))?;
    }
    let lowers = match stack.lowers {
        [] => vec![open(&empty_lower(request.upper)?)?],
        lowers => lowers.iter().map(|lower| open(lower)).collect::<Result<_>>()?,
    };
    let (upper, work) = (open(request.upper)?, open(request.work)?);
    let numbers: Vec<_> = lowers.iter().map(|lower| lower.as_raw_fd().to_string()).collect();
    let mut options = format!(
        "lowerdir={},upperdir={},workdir={}",
        numbers.join(":"),
        upper.as_raw_fd(),
        work.as_raw_fd(),
    );
    for (key, value) in OPTIONS {
        options += &format!(",{key}={value}");
    }
    if OverlayXattrs::here() == OverlayXattrs::User {
        options += ",userxattr";
    }
    if request.volatile {
        options += ",volatile";
    }
    let options = CString::new(options).expect("the options have no NUL");
    let target = std::path::absolute(request.upper).map_err(failed("resolve the upper directory"))?;
    rustix::process::chdir("/proc/self/fd").map_err(|error| failed("enter /proc/self/fd")(error.into()))?;
    let flags = if request.read_only { MountFlags::RDONLY } else { MountFlags::empty() };
    rustix::mount::mount("overlay", &target, "overlay", flags, options.as_c_str())
        .map_err(|error| failed("overlayfs refuses")(error.into()))?;
    let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount =
        open_tree(CWD, &target, clone).map_err(RootfsError::directory("clone the mount on", request.upper));
    // The namespace goes with the thread; but its end may come late, and the other mounts in it are copies of the host's.
    let _ = unmount(&target, UnmountFlags::DETACH);
    mount
}

fn failed(what: &'static str) -> impl FnOnce(std::io::Error) -> RootfsError {
    move |source| RootfsError::Overlay { what: what.to_owned(), source, log: None }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::rootfs::{RootfsRequest, Scratch};

    /// The way that newer kernels never take, but through which the older ones get all of it.
    #[test]
    fn older_kernels_get_the_same() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let lowers: Vec<PathBuf> =
            (0..100).map(|number| directory.path().join(format!("layers/{number}/fs"))).collect();
        for lower in &lowers {
            std::fs::create_dir_all(lower).unwrap();
            std::fs::write(lower.join("f"), lower.as_os_str().as_encoded_bytes()).unwrap();
        }
        let scratch = Scratch::at(directory.path());
        let mut namespace =
            std::process::Command::new("unshare").args(["--user", "sleep", "60"]).spawn().unwrap();
        let proc = Path::new("/proc").join(namespace.id().to_string());
        while std::fs::read_link(proc.join("ns/user")).unwrap()
            == std::fs::read_link("/proc/self/ns/user").unwrap()
        {
            std::thread::yield_now();
        }
        for map in ["uid_map", "gid_map"] {
            std::fs::write(proc.join(map), "0 100000 65536").unwrap();
        }
        let user = std::fs::File::open(proc.join("ns/user")).unwrap();
        namespace.kill().unwrap();
        namespace.wait().unwrap();
        let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let before = mounts();
        for (idmap, layers, owner) in [(None, 100, 0), (Some(user.as_fd()), 100, 100_000), (None, 0, 0)] {
            scratch.create(None, (owner, owner)).unwrap();
            let (upper, work) = (&scratch.upper, &scratch.work);
            let lowers = &lowers[..layers];
            let request = RootfsRequest { lowers, upper, work, volatile: true, read_only: false, idmap };
            let order: Vec<_> = lowers.iter().rev().map(PathBuf::as_path).collect();
            let root = mount(&Stack { request: &request, lowers: &order }).unwrap();
            let file = format!("/proc/self/fd/{}/f", root.as_raw_fd());
            if let Some(highest) = lowers.last() {
                assert_eq!(std::fs::read(&file).unwrap(), highest.as_os_str().as_encoded_bytes());
                assert_eq!(std::fs::metadata(&file).unwrap().uid(), owner);
            }
            std::fs::write(&file, "changed").unwrap();
            assert_eq!(std::fs::read(upper.join("f")).unwrap(), b"changed");
            assert_eq!(mounts(), before, "something was mounted in the host's namespace");
            drop(root);
            scratch.remove().unwrap();
        }
    }
}
