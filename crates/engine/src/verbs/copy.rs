//! `cp`: the sides are held, then the copying is `copy`'s; by a thread with a mount namespace of its own when a container's file
//! systems have to be mounted for it.

use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;

use conex_oci::ContainerId;

use crate::copy::{self, Copied, CopyError, CopyFrom, CopyOptions, CopyTo, End, Place, Root};
use crate::{Engine, Result};

impl Engine {
    /// Copies files between a container, the host and a tar stream, as Docker's `cp` has it, and between two containers. It makes no
    /// difference whether they run. A container that does not run cannot be started meanwhile. May fork: the caller has one thread.
    ///
    /// # Errors
    /// What is not there, or is in the way; what the kernel says of a file: the copy is then a part. [`crate::Error::Busy`] for a
    /// container that another command is at work on.
    pub fn copy(&self, from: CopyFrom<'_>, to: CopyTo<'_>, options: CopyOptions) -> Result<Copied> {
        let sides = Sides::open(self, &from, &to)?;
        let copied = if sides.all().any(Place::needs_thread) {
            std::thread::scope(|scope| {
                let thread = std::thread::Builder::new().name("copy".to_owned());
                let work = || {
                    copy::place::leave_namespace()?;
                    sides.all().try_for_each(Place::mount)?;
                    let copied = sides.copy(from, to, options);
                    sides.all().for_each(Place::unmount);
                    copied
                };
                let thread = thread.spawn_scoped(scope, work);
                let thread = thread
                    .map_err(|source| CopyError::Place { what: "start a thread".to_owned(), source })?;
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        } else {
            sides.copy(from, to, options)
        };
        for (place, action) in [(&sides.from, "archive-path"), (sides.there(), "extract-to-dir")] {
            if let (Some(place), Ok(_)) = (place, &copied) {
                self.event(&place.subject().event(action));
            }
        }
        let closed = sides.close();
        let copied = copied?;
        closed?;
        Ok(copied)
    }
}

/// The containers of a copy: the same one may be both.
struct Sides {
    from: Option<Place>,
    to: Option<Place>,
    is_one: bool,
}

impl Sides {
    fn open(engine: &Engine, from: &CopyFrom<'_>, to: &CopyTo<'_>) -> Result<Self> {
        let from = if let CopyFrom::Container(id, _) = from { Some(*id) } else { None };
        let to = if let CopyTo::Container(id, _) = to { Some(*id) } else { None };
        let is_one = from.is_some() && from == to;
        let open = |id: Option<&ContainerId>| id.map(|id| Place::open(&engine.parts, id)).transpose();
        let from = open(from)?;
        match open(to.filter(|_| !is_one)) {
            Ok(to) => Ok(Self { from, to, is_one }),
            Err(error) => {
                if let Some(from) = from {
                    from.close()?;
                }
                Err(error)
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &Place> {
        self.from.iter().chain(&self.to)
    }

    /// Where to.
    fn there(&self) -> &Option<Place> {
        if self.is_one { &self.from } else { &self.to }
    }

    fn root(place: Option<&Place>) -> Result<Root, CopyError> {
        place.map_or_else(|| Ok(Root::local()), Place::root)
    }

    fn copy(&self, from: CopyFrom<'_>, to: CopyTo<'_>, options: CopyOptions) -> Result<Copied, CopyError> {
        let from: End<'_, dyn Read + Send> = match from {
            CopyFrom::Container(_, path) => End::Tree(Self::root(self.from.as_ref())?, path),
            CopyFrom::Local(path) => End::Tree(Root::local(), path.as_os_str().as_bytes()),
            CopyFrom::Tar(stream) => End::Stream(stream),
        };
        let to: End<'_, dyn Write + Send> = match to {
            CopyTo::Container(_, path) => End::Tree(Self::root(self.there().as_ref())?, path),
            CopyTo::Local(path) => End::Tree(Root::local(), path.as_os_str().as_bytes()),
            CopyTo::Tar(stream) => End::Stream(stream),
        };
        copy::copy(from, to, options)
    }

    fn close(self) -> Result<()> {
        let closed: Vec<Result<()>> = [self.from, self.to].into_iter().flatten().map(Place::close).collect();
        closed.into_iter().collect()
    }
}
