//! Blobs: written again out of a layer's tar where that is what they are, else removed, so that the next pull does not take them
//! for what they should be.

use std::io;

use conex_content::{Entry, EntryKind, open_plain};
use conex_oci::{Descriptor, DiffId, Digest};

use super::{REMOVED, Repair, Step};
use crate::check::blobs::Health;
use crate::check::{Cure, Finding, Subject};

impl Repair<'_, '_> {
    pub(super) fn blobs(&mut self, found: &[Finding]) {
        for finding in found {
            let Subject::Blob(digest) = &finding.subject else { continue };
            let step = match &finding.cure {
                Cure::RewriteBlob(layer, size) => {
                    self.rewrite(digest, layer, *size).map_err(|error| format!("not written: {error}"))
                }
                Cure::RemoveBlob | Cure::Discard => self.remove_blob(digest),
                _ => continue,
            };
            if let (Ok(_), Some(need)) = (&step, self.check.graph.needs.get(digest))
                && let Some(descriptor) = need.descriptor.clone().filter(Descriptor::is_manifest)
            {
                self.removed.push((descriptor, finding.needed_by.clone()));
            }
            self.note(&finding.subject, step);
        }
    }

    /// The layer's image holds its tar stream, byte for byte.
    fn rewrite(&self, digest: &Digest, layer: &DiffId, size: u64) -> crate::Result<String> {
        let store = self.check.store;
        let content = store.content();
        let lease = content.lease()?;
        lease.add(digest)?;
        let path = store.layers().lower(layer)?;
        let path = path.ok_or(crate::layers::LayerError::Missing { layer: *layer })?;
        let failed = |source| conex_content::Error::Read { digest: *digest, source };
        let file = open_plain(&path).map_err(failed)?;
        let tar = conex_erofs::tar_of(&file);
        let mut tar = tar.map_err(|source| crate::layers::LayerError::Image {
            path: path.clone(),
            source: Box::new(source),
        })?;
        let mut writer = content.writer(Some((*digest, size)))?;
        io::copy(&mut tar, &mut writer).map_err(failed)?;
        let place = content.path(digest);
        if Entry::at(&place).is_ok_and(|entry| entry.kind == EntryKind::Directory) {
            content.set_aside(&place)?;
        }
        writer.commit()?;
        Ok("written again from its layer".to_owned())
    }

    /// Removes a blob that is damaged, unless somebody is at work on it, or it turns out to be what it should be.
    fn remove_blob(&mut self, digest: &Digest) -> Step {
        let content = self.check.store.content();
        let failed = |error: conex_content::Error| format!("not removed: {error}");
        let claim = content.claim().map_err(failed)?;
        if !claim.try_add(digest).map_err(failed)? {
            return Err("not removed: another command is at work on it; try again".to_owned());
        }
        let path = content.path(digest);
        let Some(blob) = self.check.blobs.get(digest).cloned() else { return Ok(REMOVED.to_owned()) };
        match blob.health {
            Health::NotAFile(_) => return self.discard(&path),
            // A memory or a cable may have been at fault. What is removed has been found wrong twice.
            _ => match content.hash(digest, &|_| ()) {
                Ok((found, _)) if found == *digest => {
                    return Err("not removed: read again, it is what it should be".to_owned());
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(REMOVED.to_owned()),
                Err(error) if !is_the_disks(&error) => return Err(format!("not removed: {error}")),
                Ok(_) | Err(_) => {}
            },
        }
        content.delete(digest, &claim).map(|_| REMOVED.to_owned()).map_err(failed)
    }
}

/// Whether reading failed because of what is on the disk, and would fail again.
fn is_the_disks(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let lasting = [Errno::IO, Errno::UCLEAN, Errno::BADMSG, Errno::NODATA, Errno::REMOTEIO];
    error.raw_os_error().is_some_and(|code| lasting.contains(&Errno::from_raw_os_error(code)))
}
