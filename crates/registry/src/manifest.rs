//! Manifests and indexes: small documents, read whole and verified here.

use std::io::Read;

use conex_oci::{Descriptor, Digest, Reference, Selector, media_type};
use serde::Deserialize;
use serde::de::IgnoredAny;
use ureq::http::{Method, header};

use crate::answer::Answer;
use crate::error::clean;
use crate::request::{Ask, Target};
use crate::{Client, Error, Result};

/// The most that is read of a manifest, index or configuration, in bytes; registries keep to it too.
pub const DOCUMENT_LIMIT: u64 = 4 << 20;

/// What we read, best first. Media types are the constants of [`media_type`].
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// A manifest or index with its bytes, verified.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// What it is; its digest and size are those of `bytes`.
    pub descriptor: Descriptor,
    /// As the registry stores it.
    pub bytes: Vec<u8>,
}

impl Client {
    /// The manifest or index that `reference` names.
    pub fn resolve(&self, reference: &Reference) -> Result<Resolved> {
        let expected = reference.digest().copied();
        self.manifest(reference, selector(reference), expected)
    }

    /// What `reference` names, without the document itself: `None` when the registry does not say its digest. A cheap
    /// look, which Docker Hub does not count as a pull.
    pub fn look(&self, reference: &Reference) -> Result<Option<Descriptor>> {
        let what = format!("manifest {}", reference.familiar());
        let path = format!("manifests/{}", selector(reference));
        let ask = Ask { accept: Some(ACCEPT), ..Ask::new(&what, Method::HEAD, Target::Within(&path)) };
        let answer = self.ask(reference, &ask)?;
        let Some(digest) = stated_digest(&answer, reference, &what)? else { return Ok(None) };
        let size = answer.header(header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
        let kind = answer.header(header::CONTENT_TYPE).map(essence);
        Ok(size.zip(kind).map(|(size, kind)| Descriptor::new(kind, digest, size)))
    }

    /// A manifest that an index of `reference` lists; exactly the bytes that its descriptor promises.
    pub fn document(&self, reference: &Reference, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let resolved = self.manifest(reference, descriptor.digest.to_string(), Some(descriptor.digest))?;
        let got = resolved.bytes.len() as u64;
        if got != descriptor.size {
            // The digest is right, so it is the descriptor that is wrong: no mirror's fault.
            return Err(Error::Size {
                registry: reference.registry().to_owned(),
                what: format!("manifest {}", descriptor.digest),
                expected: descriptor.size,
                got: got.to_string(),
            });
        }
        Ok(resolved.bytes)
    }

    /// From a mirror whose answer is what it should be, or from the registry, whatever that says.
    fn manifest(
        &self,
        reference: &Reference,
        selector: String,
        expected: Option<Digest>,
    ) -> Result<Resolved> {
        loop {
            match self.manifest_once(reference, &selector, expected) {
                Err(
                    Error::Digest { .. }
                    | Error::TooLarge { .. }
                    | Error::NotAManifest { .. }
                    | Error::MalformedDigest { .. },
                ) if self.pass_over_mirror(reference)? => {}
                answer => return answer,
            }
        }
    }

    fn manifest_once(
        &self,
        reference: &Reference,
        selector: &str,
        expected: Option<Digest>,
    ) -> Result<Resolved> {
        let what = match expected {
            Some(digest) => format!("manifest {}@{digest}", reference.familiar_name()),
            None => format!("manifest {}", reference.familiar()),
        };
        let path = format!("manifests/{selector}");
        let ask = Ask { accept: Some(ACCEPT), ..Ask::new(&what, Method::GET, Target::Within(&path)) };
        let answer = self.ask(reference, &ask)?;
        let stated = stated_digest(&answer, reference, &what)?;
        let kind = answer.header(header::CONTENT_TYPE).map(essence);
        let bytes = whole_body(answer, reference, &what)?;
        let got = Digest::of(&bytes);
        if let Some(expected) = expected.or(stated)
            && got != expected
        {
            return Err(Error::Digest { registry: reference.registry().to_owned(), what, expected, got });
        }
        let kind = kind_of(kind, &bytes).map_err(|reason| Error::NotAManifest {
            registry: reference.registry().to_owned(),
            what,
            reason,
        })?;
        Ok(Resolved { descriptor: Descriptor::new(kind, got, bytes.len() as u64), bytes })
    }
}

/// Both kinds are safe in a URL by their grammar.
fn selector(reference: &Reference) -> String {
    match reference.selector() {
        Selector::Tag(tag) => tag.clone(),
        Selector::Digest { digest, .. } => digest.to_string(),
    }
}

fn stated_digest(answer: &Answer, reference: &Reference, what: &str) -> Result<Option<Digest>> {
    let stated = answer.header("docker-content-digest").map(|text| text.trim().parse());
    stated.transpose().map_err(|source| Error::MalformedDigest {
        registry: reference.registry().to_owned(),
        what: what.to_owned(),
        source,
    })
}

pub(crate) fn whole_body(answer: Answer, reference: &Reference, what: &str) -> Result<Vec<u8>> {
    let registry = || reference.registry().to_owned();
    let mut bytes = Vec::new();
    let read = answer.response.into_body().into_reader().take(DOCUMENT_LIMIT + 1).read_to_end(&mut bytes);
    read.map_err(|error| crate::request::unreachable_error(registry(), ureq::Error::from(error)))?;
    if bytes.len() as u64 > DOCUMENT_LIMIT {
        return Err(Error::TooLarge { registry: registry(), what: what.to_owned(), limit: DOCUMENT_LIMIT });
    }
    Ok(bytes)
}

/// A media type without its parameters.
pub(crate) fn essence(text: &str) -> String {
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default)]
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<IgnoredAny>,
    #[serde(default)]
    layers: Option<IgnoredAny>,
    #[serde(default)]
    config: Option<IgnoredAny>,
}

/// What a document is, by its header, its own word and its shape. All have to agree: bytes that one reader takes for an
/// index and another for a manifest are an attack (CVE-2021-41190).
pub(crate) fn kind_of(header: Option<String>, bytes: &[u8]) -> Result<String, String> {
    let shape: Shape =
        serde_json::from_slice(bytes).map_err(|error| format!("it is no JSON document ({error})"))?;
    if shape.schema_version == Some(1) {
        return Err("it has the old schema 1, which is no longer supported; push it again with a newer tool"
            .to_owned());
    }
    let listed = shape.manifests.is_some();
    let single = shape.layers.is_some() || shape.config.is_some();
    let by_shape = match (listed, single) {
        (true, false) => media_type::INDEX,
        (false, true) => media_type::MANIFEST,
        (true, true) => return Err("it is both an index and a manifest".to_owned()),
        (false, false) => return Err("it lists neither layers nor manifests".to_owned()),
    };
    let kind = match (header, shape.media_type) {
        (Some(header), Some(own)) if is_ours(&header) && header != own => {
            return Err(format!("its header says {}, itself {}", clean(&header), clean(&own)));
        }
        (_, Some(own)) => own,
        (Some(header), None) if is_ours(&header) => header,
        (_, None) => by_shape.to_owned(),
    };
    let descriptor = Descriptor::new(kind.clone(), Digest::of(b""), 0);
    match (descriptor.is_index(), descriptor.is_manifest()) {
        (true, _) if listed => Ok(kind),
        (_, true) if single => Ok(kind),
        (false, false) => Err(format!("its media type is {}", clean(&kind))),
        _ => Err(format!("it does not have the shape of {}", clean(&kind))),
    }
}

fn is_ours(kind: &str) -> bool {
    let descriptor = Descriptor::new(kind, Digest::of(b""), 0);
    descriptor.is_index() || descriptor.is_manifest()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_word_and_shape_agree() {
        let manifest = br#"{"schemaVersion":2,"config":{},"layers":[]}"#;
        let header = |text: &str| Some(text.to_owned());
        assert_eq!(
            kind_of(header(media_type::DOCKER_MANIFEST), manifest).unwrap(),
            media_type::DOCKER_MANIFEST
        );
        assert_eq!(kind_of(header("text/plain"), manifest).unwrap(), media_type::MANIFEST);
        assert_eq!(kind_of(None, br#"{"manifests":[]}"#).unwrap(), media_type::INDEX);
        assert!(kind_of(header(media_type::INDEX), manifest).is_err(), "the header lies");
        assert!(kind_of(None, br#"{"layers":[],"manifests":[]}"#).unwrap_err().contains("both"));
        assert!(kind_of(None, br#"{"schemaVersion":1,"fsLayers":[]}"#).unwrap_err().contains("schema 1"));
        assert!(kind_of(None, br#"{}"#).is_err());
        assert!(kind_of(None, b"<html>").is_err());
        let own = format!(r#"{{"mediaType":"{}","layers":[]}}"#, media_type::INDEX);
        assert!(kind_of(None, own.as_bytes()).is_err(), "its word is not its shape");
    }
}
