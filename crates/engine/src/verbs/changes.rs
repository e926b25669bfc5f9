//! `diff` and `export`: what a container has written, and all that it sees. Neither minds whether it runs.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use conex_content::Lease;
use conex_image::writable::{Change, IdShift, Writable};
use conex_image::{Image, View};
use conex_oci::ContainerId;
use rustix::fs::{Mode, OFlags};

use crate::store::Record;
use crate::store::writable::WritableLayer;
use crate::{Engine, Error, Result};

/// A container's writable layer and its image, held so that neither goes while they are read.
pub(super) struct Opened {
    pub(super) record: Record,
    pub(super) image: Image,
    view: View,
    upper: OwnedFd,
    _lease: Lease,
}

impl Opened {
    pub(super) fn writable(&self) -> Writable<'_> {
        let ids = self.record.id_range.map(IdShift::from);
        Writable::new(self.upper.as_fd(), self.view.as_fd(), ids)
    }
}

impl Engine {
    /// What the container has added, changed and deleted in its root filesystem, as Docker lists it.
    ///
    /// # Errors
    /// When the container is not there, or its files cannot be read.
    pub fn diff(&self, id: &ContainerId) -> Result<Vec<Change>> {
        let changes = self.open_writable(id)?.writable().changes().map_err(conex_image::Error::from)?;
        self.still_there(id)?;
        Ok(changes)
    }

    /// Writes the container's root filesystem as a tar, without what is mounted in it. One that runs goes on.
    ///
    /// # Errors
    /// As [`Engine::diff`], and what the sink says.
    pub fn export<W: Write>(&self, id: &ContainerId, sink: W) -> Result<W> {
        let sink = self.open_writable(id)?.writable().export(sink).map_err(conex_image::Error::from)?;
        self.still_there(id)?;
        self.container_event(id, "export");
        Ok(sink)
    }

    pub(super) fn open_writable(&self, id: &ContainerId) -> Result<Opened> {
        let (store, images) = (&self.parts.store, &self.parts.images);
        let record = store.must_record(id)?;
        let image = images.resolve(&record.image_id.to_string(), None)?;
        let lease = images.lease(&image)?;
        let view = images.view(&image)?;
        let layer = WritableLayer::open(&store.directory(id))?;
        let path = layer.scratch.upper.clone();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let upper = rustix::fs::open(&path, flags, Mode::empty())
            .map_err(|errno| Error::Read { path, source: errno.into() })?;
        Ok(Opened { record, image, view, upper, _lease: lease })
    }

    /// A container that was removed while it was read would look as if it had deleted its files.
    pub(super) fn still_there(&self, id: &ContainerId) -> Result<()> {
        self.parts.store.must_record(id).map(drop)
    }
}
