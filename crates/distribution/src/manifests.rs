//! Manifests and indexes: by tag from a reference's file, by digest if the repository has it; taken when all that they need
//! is here.

use std::io::Read;

use conex_content::{DOCUMENT_LIMIT, Lease, Name, Root};
use conex_http::{Body, Head, Response};
use conex_oci::{Descriptor, Digest, media_type};
use serde::Deserialize;

use crate::api::{Answer, Api, Code, Refusal};
use crate::repository::Repository;

/// The most blobs or manifests that one document lists: each is looked up, and leased.
const NEEDS: usize = 2048;

/// The parts of a manifest or index that the API looks at.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Shape {
    schema_version: Option<u64>,
    media_type: Option<String>,
    pub(crate) artifact_type: Option<String>,
    pub(crate) config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    pub(crate) subject: Option<Descriptor>,
    pub(crate) annotations: Option<std::collections::BTreeMap<String, String>>,
}

impl Api {
    pub(crate) fn get_manifest(&self, repository: &Repository, selector: &str) -> Answer {
        let found = match selector.parse::<Digest>() {
            Ok(digest) => repository.find(&self.content, &digest)?,
            Err(_) => match repository.tag(selector) {
                Some(tag) => self.content.get(&tag)?,
                None => None,
            },
        };
        let unknown =
            || Refusal::new(Code::ManifestUnknown, format!("{}: no manifest {selector:?}", repository.name));
        let descriptor = found.filter(|found| self.content.has(&found.digest)).ok_or_else(unknown)?;
        let bytes = self.content.read_unsized(&descriptor.digest)?;
        Ok(Response::new(200)
            .bytes(&descriptor.media_type, bytes)
            .with("Docker-Content-Digest", descriptor.digest))
    }

    pub(crate) fn put_manifest(
        &self,
        repository: &Repository,
        selector: &str,
        head: &Head,
        body: &mut Body<'_, '_>,
    ) -> Answer {
        let mut bytes = Vec::new();
        let read = body.take(DOCUMENT_LIMIT + 1).read_to_end(&mut bytes);
        read.map_err(|_| Refusal::new(Code::ManifestInvalid, "the body broke off"))?;
        if bytes.len() as u64 > DOCUMENT_LIMIT {
            return Err(Refusal::new(
                Code::SizeInvalid,
                format!("a manifest has at most {DOCUMENT_LIMIT} bytes"),
            ));
        }
        let digest = Digest::of(&bytes);
        let by_digest = selector.parse::<Digest>().ok();
        if by_digest.is_some_and(|wanted| wanted != digest) {
            return Err(Refusal::new(Code::DigestInvalid, format!("what was sent is {digest}")));
        }
        let reference = match by_digest {
            Some(digest) => repository.at(digest),
            None => repository
                .tag(selector)
                .ok_or_else(|| Refusal::new(Code::ManifestInvalid, "that is neither a tag nor a digest"))?,
        };
        let (kind, shape) = understood(head.header("content-type"), &bytes)?;
        let lease = self.content.lease()?;
        lease.add(&digest)?;
        self.check_whole(&shape, &lease)?;
        let target = Descriptor::new(kind, self.content.put(&bytes)?, bytes.len() as u64);
        self.content.set(&reference, &target)?;
        self.holds.release(shape.needs().map(|needed| &needed.digest));
        // Children that came before their index are kept by it now: without a name of their own, as an index has them that
        // was pulled.
        for child in shape.manifests.iter().flatten() {
            let root = Root { name: Name::Reference(repository.at(child.digest)), target: child.clone() };
            self.content.forget(&root)?;
        }
        let mut response = Response::new(201)
            .with("Location", format!("/v2/{}/manifests/{selector}", repository.name))
            .with("Docker-Content-Digest", digest);
        if let Some(subject) = &shape.subject {
            response = response.with("OCI-Subject", subject.digest);
        }
        Ok(response)
    }

    /// Removes a tag; by digest the manifest with all its tags. Blobs stay until they are collected.
    pub(crate) fn delete_manifest(&self, repository: &Repository, selector: &str) -> Answer {
        let roots = repository.roots(&self.content)?;
        let meant: Vec<&Root> = match selector.parse::<Digest>() {
            Ok(digest) => roots.iter().filter(|root| root.target.digest == digest).collect(),
            Err(_) => {
                let tag = repository.tag(selector);
                roots
                    .iter()
                    .filter(|root| root.reference().is_some() && root.reference() == tag.as_ref())
                    .collect()
            }
        };
        if meant.is_empty() {
            if let Ok(digest) = selector.parse()
                && repository.find(&self.content, &digest)?.is_some()
            {
                return Err(Refusal::new(Code::Unsupported, "an index of the repository lists it"));
            }
            return Err(Refusal::new(
                Code::ManifestUnknown,
                format!("{}: no manifest {selector:?}", repository.name),
            ));
        }
        for root in meant {
            self.content.forget(root)?;
        }
        Ok(Response::new(202))
    }

    /// Leases everything that a manifest needs, or says what is missing. A subject may be missing (distribution-spec).
    fn check_whole(&self, shape: &Shape, lease: &Lease) -> Answer<()> {
        if shape.needs().count() > NEEDS {
            return Err(Refusal::new(Code::ManifestInvalid, format!("it lists more than {NEEDS} things")));
        }
        for needed in shape.needs() {
            lease.add(&needed.digest)?;
            if !self.content.has(&needed.digest) {
                let message = format!("{} is not here; it has to come first", needed.digest);
                return Err(Refusal::new(Code::ManifestBlobUnknown, message));
            }
        }
        Ok(())
    }
}

impl Shape {
    /// What has to be here before it: not what its vendor alone hands out.
    fn needs(&self) -> impl Iterator<Item = &Descriptor> {
        let ours = |blob: &&Descriptor| blob.urls.as_ref().is_none_or(Vec::is_empty);
        let layers = self.layers.iter().flatten().filter(ours);
        self.config.iter().chain(layers).chain(self.manifests.iter().flatten())
    }
}

/// What a document is: its header, its own word and its shape have to agree (CVE-2021-41190).
fn understood(header: Option<&str>, bytes: &[u8]) -> Answer<(String, Shape)> {
    let invalid = |message: String| Refusal::new(Code::ManifestInvalid, message);
    let shape: Shape = serde_json::from_slice(bytes).map_err(|error| {
        invalid(format!("it is malformed at line {} column {}", error.line(), error.column()))
    })?;
    if shape.schema_version != Some(2) {
        return Err(invalid("its schemaVersion is not 2".to_owned()));
    }
    let header = header.map(|text| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let kind = match (header, &shape.media_type) {
        (Some(header), Some(own)) if header != *own => {
            return Err(invalid("its Content-Type is not its mediaType".to_owned()));
        }
        (_, Some(own)) => own.clone(),
        (Some(header), None) => header,
        (None, None) => media_type::MANIFEST.to_owned(),
    };
    let descriptor = Descriptor::new(kind, Digest::of(b""), 0);
    let (listed, single) = (shape.manifests.is_some(), shape.config.is_some() || shape.layers.is_some());
    let agrees = match (listed, single) {
        (true, false) => descriptor.is_index(),
        (false, true) => descriptor.is_manifest() && shape.config.is_some(),
        _ => false,
    };
    if !agrees {
        return Err(invalid(
            "it is neither an image's manifest nor an index, or not what it says".to_owned(),
        ));
    }
    Ok((descriptor.media_type, shape))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        let config = format!(r#"{{"mediaType":"x","digest":"{}","size":1}}"#, Digest::of(b"x"));
        let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]}}"#);
        let kind =
            |header: &str, text: &str| understood(Some(header), text.as_bytes()).map(|(kind, _)| kind).ok();
        assert_eq!(
            kind(media_type::DOCKER_MANIFEST, &manifest).as_deref(),
            Some(media_type::DOCKER_MANIFEST)
        );
        assert_eq!(kind("application/octet-stream", &manifest), None);
        assert_eq!(kind(media_type::INDEX, &manifest), None);
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        assert_eq!(kind(media_type::INDEX, index).as_deref(), Some(media_type::INDEX));
        let both = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[],"manifests":[]}}"#);
        for bad in
            [both.as_str(), "{}", "[]", "x", r#"{"schemaVersion":1}"#, r#"{"schemaVersion":2,"layers":[]}"#]
        {
            assert_eq!(kind(media_type::MANIFEST, bad), None, "{bad}");
        }
        let own =
            format!(r#"{{"schemaVersion":2,"mediaType":"{}","config":{config}}}"#, media_type::MANIFEST);
        assert_eq!(kind(media_type::DOCKER_MANIFEST, &own), None, "its word is not its header");
    }
}
