//! A tar stream into the store: blobs under a lease, small documents into bounded memory. Nothing is interpreted here, and
//! no name out of the archive ever becomes a path on disk.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use conex_archive::{Compression, Entry, Kind, Limits, Reader, decompress};
use conex_content::{Content, DOCUMENT_LIMIT, Lease};
use conex_oci::{Descriptor, Digest, Hasher, media_type};

use super::Refusal;
use crate::{Error, Progress, State};

/// Entries of an archive; the largest images have a few hundred.
const ENTRIES: u64 = 16_384;
/// Bytes of all documents outside `blobs/` together.
const DOCUMENTS: usize = 64 << 20;

/// Bytes; most manifests and configurations are smaller.
const SMALL: u64 = 64 << 10;

/// What an archive held, besides the blobs, which are in the store.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// `index.json`, `manifest.json`, configurations: by path.
    documents: BTreeMap<String, Vec<u8>>,
    /// Anything larger, by path: a docker-archive's layers, now blobs.
    files: BTreeMap<String, Descriptor>,
    /// Links by path: old archives share layers by them.
    links: BTreeMap<String, String>,
    held: usize,
}

/// Why it was not taken in; made into an [`Error`] by whoever knows the source's name.
#[derive(Debug)]
pub(super) enum Failure {
    Refused(Refusal),
    Archive(conex_archive::Error),
    Content(conex_content::Error),
    /// A blob could not be written, or a layout's file not be read.
    Copy {
        entry: String,
        source: io::Error,
    },
}

impl From<Refusal> for Failure {
    fn from(why: Refusal) -> Self {
        Self::Refused(why)
    }
}
impl From<conex_archive::Error> for Failure {
    fn from(error: conex_archive::Error) -> Self {
        Self::Archive(error)
    }
}
impl From<conex_content::Error> for Failure {
    fn from(error: conex_content::Error) -> Self {
        Self::Content(error)
    }
}

impl Failure {
    pub(super) fn of(self, name: &str) -> Error {
        let name = name.to_owned();
        match self {
            Self::Refused(why) => Error::Load { name, why },
            Self::Archive(source) => Error::Archive { name, source },
            Self::Content(error) => error.into(),
            Self::Copy { entry, source } => Error::Copy { entry, name, source },
        }
    }
}

type Result<T> = std::result::Result<T, Failure>;

/// Takes in a whole tar, plain or compressed.
pub(super) fn read(
    content: &Content,
    lease: &Lease,
    progress: &dyn Progress,
    reader: impl Read,
) -> Result<Intake> {
    let mut intake = Intake::default();
    let mut stream = decompress(reader)?;
    let mut archive = Reader::new(&mut stream, Limits { max_entries: ENTRIES, ..Limits::default() });
    while let Some(mut entry) = archive.next()? {
        let path = clean(&entry.header().path_text())?;
        match entry.header().kind.clone() {
            Kind::File { size } => intake.file(content, lease, progress, path, size, &mut entry)?,
            Kind::HardLink { target } => {
                let target = clean(&String::from_utf8_lossy(&target))?;
                intake.links.insert(path, target);
            }
            Kind::Symlink { target } => {
                // Relative to the link's own directory; one that leads out is found missing when it is needed.
                let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
                let target = join(directory, &String::from_utf8_lossy(&target));
                intake.links.extend(target.map(|target| (path, target)));
            }
            _ => {}
        }
    }
    // Whoever writes the archive to a pipe should not be cut off in its padding.
    let _ = io::copy(&mut stream.take(1 << 20), &mut io::sink());
    Ok(intake)
}

impl Intake {
    fn file<R: Read>(
        &mut self,
        content: &Content,
        lease: &Lease,
        progress: &dyn Progress,
        path: String,
        size: u64,
        entry: &mut Entry<'_, R>,
    ) -> Result<()> {
        if let Some(hex) = path.strip_prefix("blobs/sha256/") {
            // Files of other names in there are none of ours (image-spec image-layout.md#blobs).
            return match format!("sha256:{hex}").parse() {
                Ok(digest) => blob(content, lease, progress, digest, size, entry),
                Err(_) => Ok(()),
            };
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        match name {
            // What docker-archives carry for Docker before 1.10, and what means nothing to us.
            "VERSION" | "json" | "repositories" => Ok(()),
            "oci-layout" => self.document(path, size, entry),
            _ if name.ends_with(".json") => self.document(path, size, entry),
            _ => {
                let descriptor = layer(content, lease, progress, &path, size, entry)?;
                self.files.insert(path, descriptor);
                Ok(())
            }
        }
    }

    fn document<R: Read>(&mut self, path: String, size: u64, entry: &mut Entry<'_, R>) -> Result<()> {
        if size > DOCUMENT_LIMIT {
            return Err(Refusal::TooLarge { entry: path, size, limit: DOCUMENT_LIMIT }.into());
        }
        let mut bytes = Vec::new();
        copy(&path, size, entry, |data| {
            bytes.extend_from_slice(data);
            Ok(())
        })?;
        self.add_document(path, bytes)
    }

    pub(super) fn add_document(&mut self, path: String, bytes: Vec<u8>) -> Result<()> {
        self.held += bytes.len() + path.len();
        if self.held > DOCUMENTS {
            return Err(Refusal::TooMany { what: "bytes of documents", limit: DOCUMENTS }.into());
        }
        self.documents.insert(path, bytes);
        Ok(())
    }

    pub(super) fn is_archive(&self) -> bool {
        self.documents.contains_key("index.json") || self.documents.contains_key("manifest.json")
    }

    /// A document by path, through links.
    pub(super) fn bytes(&self, path: &str) -> Option<&[u8]> {
        self.documents.get(&self.follow(path)).map(Vec::as_slice)
    }

    /// A parsed document; `None` when it is not there.
    pub(super) fn parsed<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        let Some(bytes) = self.bytes(path) else { return Ok(None) };
        let malformed = |source| Refusal::Malformed { entry: path.to_owned(), source };
        Ok(Some(serde_json::from_slice(bytes).map_err(malformed)?))
    }

    /// A layer by path, through links; in Docker's newer archives it is a blob.
    pub(super) fn layer(&self, content: &Content, path: &str) -> Result<Option<Descriptor>> {
        let path = self.follow(path);
        if let Some(found) = self.files.get(&path) {
            return Ok(Some(found.clone()));
        }
        let Some(digest) = blob_path(&path).filter(|digest| content.has(digest)) else { return Ok(None) };
        let mut magic = Vec::new();
        let failed = |source| conex_content::Error::Read { digest, source };
        content.reader(&digest)?.take(6).read_to_end(&mut magic).map_err(failed)?;
        Ok(Some(Descriptor::new(layer_type(&magic), digest, content.size(&digest)?)))
    }

    fn follow(&self, path: &str) -> String {
        let mut path = join("", path).unwrap_or_default();
        for _ in 0..8 {
            match self.links.get(&path) {
                Some(target) => path.clone_from(target),
                None => break,
            }
        }
        path
    }
}

/// The digest in `blobs/sha256/<hex>`.
pub(super) fn blob_path(path: &str) -> Option<Digest> {
    format!("sha256:{}", path.strip_prefix("blobs/sha256/")?).parse().ok()
}

/// A blob that says what it is: verified, and written unless it is here.
fn blob<R: Read>(
    content: &Content,
    lease: &Lease,
    progress: &dyn Progress,
    digest: Digest,
    size: u64,
    entry: &mut Entry<'_, R>,
) -> Result<()> {
    lease.add(&digest)?;
    let mut bytes = 0;
    let mut told = |data: &[u8]| {
        bytes += data.len() as u64;
        // Nobody knows yet which blobs are layers; the small ones are hardly worth telling of.
        if size > SMALL {
            progress.layer(&digest, State::Loading, bytes, Some(size));
        }
    };
    let name = digest.to_string();
    let found = if content.size(&digest).is_ok_and(|here| here == size) {
        let mut hasher = Hasher::new();
        copy(&name, size, entry, |data| {
            hasher.update(data);
            told(data);
            Ok(())
        })?;
        hasher.finish()
    } else {
        let mut writer = content.writer(Some((digest, size)))?;
        copy(&name, size, entry, |data| {
            told(data);
            writer.write_all(data)
        })?;
        match writer.commit() {
            Err(conex_content::Error::Mismatch { got, .. }) => got,
            committed => committed?,
        }
    };
    if found == digest { Ok(()) } else { Err(Refusal::Forged { digest, found }.into()) }
}

/// A file that becomes a blob without having promised anything.
fn layer<R: Read>(
    content: &Content,
    lease: &Lease,
    progress: &dyn Progress,
    path: &str,
    size: u64,
    entry: &mut Entry<'_, R>,
) -> Result<Descriptor> {
    let mut writer = content.writer(None)?;
    let mut magic = Vec::with_capacity(6);
    copy(path, size, entry, |data| {
        magic.extend_from_slice(&data[..data.len().min(6 - magic.len())]);
        writer.write_all(data)
    })?;
    let digest = writer.commit_leased(lease)?;
    progress.layer(&digest, State::Loading, size, Some(size));
    Ok(Descriptor::new(layer_type(&magic), digest, size))
}

fn layer_type(magic: &[u8]) -> &'static str {
    match Compression::detect(magic) {
        Ok(Compression::Gzip) => media_type::LAYER_GZIP,
        Ok(Compression::Zstd) => media_type::LAYER_ZSTD,
        // A compression that nobody can undo is refused when the layer is unpacked.
        Ok(Compression::None) | Err(_) => media_type::LAYER,
    }
}

/// The entry's data, run by run; holes are refused.
fn copy<R: Read>(
    path: &str,
    size: u64,
    entry: &mut Entry<'_, R>,
    mut sink: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<()> {
    let mut offset = 0;
    while let Some(chunk) = entry.chunk()? {
        if chunk.offset != offset {
            break;
        }
        sink(chunk.data).map_err(|source| Failure::Copy { entry: path.to_owned(), source })?;
        offset += chunk.data.len() as u64;
    }
    if offset == size { Ok(()) } else { Err(Refusal::Sparse { entry: path.to_owned() }.into()) }
}

/// An entry's path without `./`; a path that climbs or is absolute is hostile.
fn clean(path: &str) -> Result<String> {
    join("", path).ok_or_else(|| {
        let entry = path.chars().take(160).collect();
        Refusal::Path { entry }.into()
    })
}

/// `path` seen from `directory`, without `.` and `..`; `None` when it leads out.
fn join(directory: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_and_never_lead_out() {
        assert_eq!(join("a/b", "../c/layer.tar").as_deref(), Some("a/c/layer.tar"));
        assert_eq!(join("", "./index.json").as_deref(), Some("index.json"));
        for bad in ["/etc/passwd", "../x", "a/../../x"] {
            assert_eq!(join("", bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_path_leads_out(directory in "[a-c]{0,2}(/[a-c.]{1,2}){0,3}", path in "[a-c./]{0,24}") {
            if let Some(joined) = join("", &directory).and_then(|directory| join(&directory, &path)) {
                proptest::prop_assert!(joined.split('/').all(|part| part != ".." && part != "."));
                proptest::prop_assert!(!joined.starts_with('/'));
                proptest::prop_assert_eq!(join("", &joined), Some(joined));
            }
        }
    }

    #[test]
    fn circular_links_end() {
        let mut intake = Intake::default();
        intake.links.insert("a".into(), "b".into());
        intake.links.insert("b".into(), "a".into());
        assert!(intake.bytes("a").is_none());
    }
}
