//! Files to a registry.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use conex_oci::image::ImageManifest;
use conex_oci::{Descriptor, Digest, Hasher, Reference, media_type};

use super::{EMPTY, EMPTY_BYTES, FILE, TITLE, UNKNOWN, file_error, name};
use crate::{Client, Delivery, Error, Result, Source};

/// A file that goes into an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactFile {
    /// Where it is; also its name in the artifact.
    pub path: PathBuf,
    /// What it is; a plain file's type if nobody says.
    pub media_type: Option<String>,
}

/// What the manifest says beside its files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArtifactOptions {
    /// What the files are together.
    pub artifact_type: Option<String>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// What the artifact is about: it is listed among that manifest's referrers.
    pub subject: Option<Descriptor>,
}

/// An artifact that is in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedArtifact {
    /// Its manifest.
    pub manifest: Descriptor,
}

impl Client {
    /// Puts files into the repository of `reference`, under its tag; by digest alone when it is `attached` to a subject
    /// without a tag of its own. `tell` hears of each file how it came there, by its name.
    pub fn push_artifact(
        &self,
        reference: &Reference,
        attached: bool,
        files: &[ArtifactFile],
        options: &ArtifactOptions,
        tell: &dyn Fn(&str, &Descriptor, &Delivery),
    ) -> Result<PushedArtifact> {
        let mut layers = Vec::new();
        // All are looked at before the first is sent.
        for file in files {
            layers.push(open(file)?);
        }
        for (layer, handle) in &layers {
            let delivery =
                self.push_blob(reference, layer, Source { file: handle, mount_from: &[] }, &|_| {})?;
            tell(layer.annotation(TITLE).unwrap_or_default(), layer, &delivery);
        }
        let empty = self.push_empty(reference)?;
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.to_owned()),
            artifact_type: Some(options.artifact_type.clone().unwrap_or_else(|| UNKNOWN.to_owned())),
            config: empty.clone(),
            // The specification wants at least one.
            layers: if layers.is_empty() {
                vec![empty]
            } else {
                layers.into_iter().map(|(layer, _)| layer).collect()
            },
            subject: options.subject.clone(),
            annotations: Some(options.annotations.clone()).filter(|annotations| !annotations.is_empty()),
        };
        let bytes = serde_json::to_vec(&manifest).expect("a manifest is always JSON");
        let descriptor = Descriptor::new(media_type::MANIFEST, Digest::of(&bytes), bytes.len() as u64);
        let named = if attached { reference.with_digest(descriptor.digest) } else { reference.clone() };
        self.push_manifest(&named, &descriptor, &bytes)?;
        Ok(PushedArtifact { manifest: descriptor })
    }

    fn push_empty(&self, reference: &Reference) -> Result<Descriptor> {
        let descriptor = Descriptor::new(EMPTY, Digest::of(EMPTY_BYTES), EMPTY_BYTES.len() as u64);
        let failed = |error| file_error("{}", "write", error);
        let memory = rustix::fs::memfd_create("empty", rustix::fs::MemfdFlags::CLOEXEC);
        let mut file = File::from(memory.map_err(|error| failed(error.into()))?);
        io::Write::write_all(&mut file, EMPTY_BYTES).map_err(failed)?;
        self.push_blob(reference, &descriptor, Source { file: &file, mount_from: &[] }, &|_| {})?;
        Ok(descriptor)
    }
}

/// Hashes a file; its descriptor, and the file to be sent.
fn open(file: &ArtifactFile) -> Result<(Descriptor, File)> {
    let path = &file.path;
    let title = title(path).ok_or_else(|| Error::ArtifactName { name: path.display().to_string() })?;
    let failed = |source| file_error(path, "read", source);
    let mut handle = File::open(path).map_err(failed)?;
    if !handle.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is no regular file (pack a directory first, with tar)")));
    }
    let (mut hasher, mut size, mut buffer) = (Hasher::new(), 0, vec![0; 128 << 10]);
    loop {
        match handle.read(&mut buffer).map_err(failed)? {
            0 => break,
            count => {
                hasher.update(&buffer[..count]);
                size += count as u64;
            }
        }
    }
    handle.rewind().map_err(failed)?;
    let kind = file.media_type.as_deref().unwrap_or(FILE);
    let annotations = Some(BTreeMap::from([(TITLE.to_owned(), title)]));
    Ok((Descriptor { annotations, ..Descriptor::new(kind, hasher.finish(), size) }, handle))
}

/// A path as the file's name: relative, below where one stands.
fn title(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    let parts = name::parts(text)?;
    let parts: Option<Vec<&str>> = parts.into_iter().map(|part| part.to_str()).collect();
    parts.map(|parts| parts.join("/"))
}
