//! A way down from a held directory, a step a name: no step follows a link. Few steps stay open, however deep the tree is; the
//! others are opened again from the top when the way back comes to them, by a path that may have no link in it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Steps that stay open.
const OPEN: usize = 64;

/// The directories on the way, the top excluded.
#[derive(Debug)]
pub(super) struct Ladder {
    top: OwnedFd,
    steps: Vec<(Vec<u8>, Option<OwnedFd>)>,
}

impl Ladder {
    pub(super) fn new(top: OwnedFd) -> Self {
        Self { top, steps: Vec::new() }
    }

    pub(super) fn depth(&self) -> usize {
        self.steps.len()
    }

    /// The name of a step, the first being 0.
    pub(super) fn name(&self, step: usize) -> &[u8] {
        &self.steps[step].0
    }

    pub(super) fn push(&mut self, name: &[u8], directory: OwnedFd) {
        if let Some(far) = self.steps.len().checked_sub(OPEN) {
            self.steps[far].1 = None;
        }
        self.steps.push((name.to_vec(), Some(directory)));
    }

    pub(super) fn pop(&mut self) {
        self.steps.pop();
    }

    /// The path from the top to here.
    pub(super) fn path(&self) -> Vec<u8> {
        let names: Vec<&[u8]> = self.steps.iter().map(|(name, _)| &name[..]).collect();
        names.join(&b'/')
    }

    /// The directory that the way has come to.
    pub(super) fn here(&mut self) -> rustix::io::Result<BorrowedFd<'_>> {
        if self.steps.last().is_some_and(|(_, directory)| directory.is_none()) {
            let directory = open(self.top.as_fd(), &self.path(), ResolveFlags::NO_SYMLINKS)?;
            if let Some(last) = self.steps.last_mut() {
                last.1 = Some(directory);
            }
        }
        let last = self.steps.last().and_then(|(_, directory)| directory.as_ref());
        Ok(last.unwrap_or(&self.top).as_fd())
    }
}

/// Opens the directory `path` beneath another one, to be read.
pub(super) fn open(from: BorrowedFd<'_>, path: &[u8], more: ResolveFlags) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    again(|| {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | more;
        rustix::fs::openat2(from, path, flags, Mode::empty(), resolve)
    })
}

/// openat2(2) gives up when something is renamed anywhere while it goes by `..`; a container could have it do so for ever.
pub(super) fn again<T>(mut open: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    for _ in 0..10_000 {
        match open() {
            Err(Errno::AGAIN | Errno::INTR) => {}
            done => return done,
        }
    }
    Err(Errno::AGAIN)
}
