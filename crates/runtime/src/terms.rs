//! What holds between a new process and whoever makes it, beside the spec.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;

use conex_oci::runtime::Linux;

use crate::{Error, Listener};

/// The default is what a supervisor wants: it starts the process itself, and the process dies with it.
#[derive(Default)]
pub struct Terms<'a> {
    /// Who starts the process.
    pub start: Start,
    /// How many descriptors from 3 on the process inherits.
    pub preserved: u32,
    /// Leaves it in the caller's session keyring instead of a new one.
    pub keep_keyring: bool,
    /// Leaves the old root below the new one, by chroot(2): for a root in a ramfs, where pivot_root(2) cannot work.
    pub no_pivot: bool,
    /// Detached mounts that stand in for the sources of bind mounts, by their index in `mounts` of the spec: what a path could not
    /// name, or what somebody could put something else in the place of.
    pub sources: BTreeMap<usize, OwnedFd>,
    /// Called with the process's id while it is at work on its mounts, on another processor.
    pub meanwhile: Option<&'a mut dyn FnMut(u32) -> Result<(), Error>>,
    /// Called with the process's id when its namespaces are there and its mounts not yet pivoted to.
    pub before_pivot: Option<&'a mut dyn FnMut(u32) -> Result<(), Error>>,
    /// Where the root filesystem stands until it becomes the root, a directory of the host's: createContainer hooks find it there by
    /// name, with all its mounts. Upon the old root when absent, where it has no name.
    pub root_at: Option<&'a Path>,
    /// Who answers the notifications of a filter that has some.
    pub listener: Option<Listener<'a>>,
    /// What the process does itself, hooks.
    pub inside: Inside<'a>,
    /// For [`exec`](crate::exec): the container's, whose memory policy and personality hold for this process, too.
    pub linux: Option<&'a Linux>,
}

/// Who starts the process, and what it does when its maker is gone.
#[derive(Debug)]
pub enum Start {
    /// Its maker, by [`Waiting::start`](crate::Waiting::start).
    ByParent {
        /// Whether it is killed when its maker ends.
        tied: bool,
    },
    /// Its maker, who has nothing to do between its being set up and its start: it goes on by itself as soon as it is set up and
    /// what is to be done meanwhile is done. [`Waiting::start`](crate::Waiting::start) only looks whether it did. Of no use with a
    /// terminal, whose master comes before the start.
    AtOnce,
    /// Whoever connects to this listening SOCK_SEQPACKET socket: see [`start`](crate::start). Its maker
    /// [leaves](crate::Waiting::leave) it.
    BySocket(OwnedFd),
}

impl Default for Start {
    fn default() -> Self {
        Self::ByParent { tied: true }
    }
}

/// What the new process does on the way, in the container's namespaces; each is told the process's id in the maker's pid
/// namespace. For the hooks of config.md#posix-platform-hooks: [`crate::hooks::run`].
#[derive(Clone, Copy, Default)]
pub struct Inside<'a> {
    /// Before the pivot (createContainer): paths are the host's.
    pub before_pivot: Option<&'a dyn Fn(u32) -> Result<(), Error>>,
    /// After the order to start, before the program (startContainer): paths are the container's.
    pub before_program: Option<&'a dyn Fn(u32) -> Result<(), Error>>,
}
