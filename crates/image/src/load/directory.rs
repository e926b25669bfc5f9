//! An OCI layout in a directory: what its `index.json` reaches is copied into the store, verified.
//!
//! The directory is a stranger's: files are opened beneath it only (openat2), and only regular ones are read.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};

use conex_content::{Content, DOCUMENT_LIMIT, Lease};
use conex_oci::image::{ImageIndex, ImageManifest};
use conex_oci::{Descriptor, Digest, Hasher};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::Refusal;
use super::intake::{Failure, Intake};
use crate::{Progress, State};

/// Blobs of one layout.
const BLOBS: usize = 16_384;
/// Indexes within indexes.
const DEPTH: u32 = 4;

type Result<T> = std::result::Result<T, Failure>;

struct Layout<'a> {
    directory: &'a File,
    content: &'a Content,
    lease: &'a Lease,
    progress: &'a dyn Progress,
    seen: HashSet<Digest>,
}

/// Takes in the layout at `directory`.
pub(super) fn read(
    content: &Content,
    lease: &Lease,
    progress: &dyn Progress,
    directory: &File,
) -> Result<Intake> {
    let mut layout = Layout { directory, content, lease, progress, seen: HashSet::new() };
    let mut intake = Intake::default();
    let Some(file) = layout.open("index.json")? else { return Ok(intake) };
    let mut bytes = Vec::new();
    let failed = |source| Failure::Copy { entry: "index.json".to_owned(), source };
    file.take(DOCUMENT_LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > DOCUMENT_LIMIT {
        let (entry, size) = ("index.json".to_owned(), bytes.len() as u64);
        return Err(Refusal::TooLarge { entry, size, limit: DOCUMENT_LIMIT }.into());
    }
    intake.add_document("index.json".to_owned(), bytes)?;
    if let Some(index) = intake.parsed::<ImageIndex>("index.json")? {
        for target in &index.manifests {
            layout.copy_tree(target, DEPTH)?;
        }
    }
    Ok(intake)
}

impl Layout<'_> {
    /// The blob and what it points at. What is not there is left out: other platforms need not be, and whatever an image
    /// does need is asked for later, by name.
    fn copy_tree(&mut self, target: &Descriptor, depth: u32) -> Result<()> {
        if self.seen.contains(&target.digest) || !self.copy(target)? || depth == 0 {
            return Ok(());
        }
        if target.is_index() {
            for child in self.content.document::<ImageIndex>(target)?.manifests {
                self.copy_tree(&child, depth - 1)?;
            }
        } else if target.is_manifest() {
            let manifest = self.content.document::<ImageManifest>(target)?;
            for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
                if !self.seen.contains(&blob.digest) {
                    self.copy(blob)?;
                }
            }
        }
        Ok(())
    }

    fn copy(&mut self, blob: &Descriptor) -> Result<bool> {
        let (digest, size) = (blob.digest, blob.size);
        self.lease.add(&digest)?;
        self.seen.insert(digest);
        if self.seen.len() > BLOBS {
            return Err(Refusal::TooMany { what: "blobs", limit: BLOBS }.into());
        }
        let Some(mut file) = self.open(&format!("blobs/sha256/{}", digest.hex()))? else {
            return Ok(self.content.has(&digest));
        };
        let failed = |source| Failure::Copy { entry: digest.to_string(), source };
        let here = file.metadata().map_err(failed)?.len();
        if here != size {
            return Err(Refusal::BlobSize { digest, size: here, promised: size }.into());
        }
        // What is in the store was verified when it came, and this copy is still checked like any other.
        let mut writer = match self.content.has(&digest) {
            true => None,
            false => Some(self.content.writer(Some((digest, size)))?),
        };
        let (mut hasher, mut bytes) = (Hasher::new(), 0);
        let mut buffer = vec![0; 128 << 10];
        loop {
            let count = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            match &mut writer {
                Some(writer) => writer.write_all(&buffer[..count]).map_err(failed)?,
                None => hasher.update(&buffer[..count]),
            }
            bytes += count as u64;
            self.progress.layer(&digest, State::Loading, bytes, Some(size));
        }
        let found = match writer.map(conex_content::BlobWriter::commit) {
            None => hasher.finish(),
            Some(Err(conex_content::Error::Mismatch { got, .. })) => got,
            Some(committed) => committed?,
        };
        if found == digest { Ok(true) } else { Err(Refusal::Forged { digest, found }.into()) }
    }

    fn open(&self, path: &str) -> Result<Option<File>> {
        let failed = |source: io::Error| Failure::Copy { entry: path.to_owned(), source };
        // Without O_NONBLOCK a fifo in the layout would stop us for good.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let file = match rustix::fs::openat2(self.directory, path, flags, Mode::empty(), resolve) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(Refusal::NotAFile { entry: path.to_owned() }.into());
        }
        Ok(Some(file))
    }
}
