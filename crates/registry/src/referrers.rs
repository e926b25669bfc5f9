//! What refers to a manifest (signatures, attestations, attachments): the referrers API, and the tag that stands for it
//! where a registry does not have it (distribution-spec 1.1, "Listing Referrers", "Pushing Manifests with Subject").

use conex_oci::image::ImageIndex;
use conex_oci::{Descriptor, Digest, Reference, media_type};
use ureq::http::Method;

use crate::manifest::{DOCUMENT_LIMIT, whole_body};
use crate::push::{PAGES, next_page};
use crate::request::{Ask, Target};
use crate::token::encode;
use crate::{Client, Error, Result};

/// The most referrers that are listed.
const REFERRERS: usize = 10_000;

impl Client {
    /// What refers to `digest` in the repository of `reference`; only what is of `artifact_type`, if one is named.
    pub fn referrers(
        &self,
        reference: &Reference,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>> {
        let what = format!("referrers of {}@{digest}", reference.familiar_name());
        let filter = artifact_type.map(|kind| format!("?artifactType={}", encode(kind))).unwrap_or_default();
        let path = format!("referrers/{digest}{filter}");
        let (mut found, mut page) = (Vec::new(), None);
        for turn in 0..PAGES {
            let target = page.as_ref().map_or(Target::Within(&path), Target::At);
            let ask = Ask { accept: Some(media_type::INDEX), ..Ask::new(&what, Method::GET, target) };
            let answer = match self.ask(reference, &ask) {
                Ok(answer) => answer,
                // Registries of before say 404 for all that they do not know; with the API an empty list is no error.
                Err(Error::NotFound { .. } | Error::Status { status: 400 | 405 | 501, .. }) if turn == 0 => {
                    found = self
                        .referrers_by_tag(reference, digest)?
                        .map(|(_, index)| index.manifests)
                        .unwrap_or_default();
                    break;
                }
                Err(error) => return Err(error),
            };
            page = next_page(&answer)?;
            let bytes = whole_body(answer, reference, &what)?;
            found.extend(parse(&bytes, reference, &what)?.manifests);
            if page.is_none() || found.len() > REFERRERS {
                break;
            }
        }
        found.truncate(REFERRERS);
        if let Some(kind) = artifact_type {
            found.retain(|descriptor| descriptor.artifact_type.as_deref() == Some(kind));
        }
        Ok(found)
    }

    /// Lists `referrer`, which has been pushed, under the tag of its subject: for a registry that does not by itself.
    pub fn list_referrer(&self, reference: &Reference, subject: &Digest, referrer: Descriptor) -> Result<()> {
        let mut index = match self.referrers_by_tag(reference, subject)? {
            Some((_, index)) => index,
            None => ImageIndex {
                schema_version: 2,
                media_type: Some(media_type::INDEX.to_owned()),
                manifests: Vec::new(),
                annotations: None,
            },
        };
        if index.manifests.iter().any(|known| known.digest == referrer.digest) {
            return Ok(());
        }
        index.manifests.push(referrer);
        let bytes = serde_json::to_vec(&index).expect("an index is always JSON");
        let tag = tag_of(reference, subject);
        if bytes.len() as u64 > DOCUMENT_LIMIT {
            let (registry, what) = (reference.registry().to_owned(), format!("the list {}", tag.familiar()));
            return Err(Error::TooLarge { registry, what, limit: DOCUMENT_LIMIT });
        }
        let descriptor = Descriptor::new(media_type::INDEX, Digest::of(&bytes), bytes.len() as u64);
        self.push_manifest(&tag, &descriptor, &bytes)?;
        Ok(())
    }

    fn referrers_by_tag(
        &self,
        reference: &Reference,
        subject: &Digest,
    ) -> Result<Option<(Descriptor, ImageIndex)>> {
        let tag = tag_of(reference, subject);
        let resolved = match self.resolve(&tag) {
            Ok(resolved) => resolved,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let index = parse(&resolved.bytes, reference, &format!("manifest {}", tag.familiar()))?;
        Ok(Some((resolved.descriptor, index)))
    }
}

/// The tag that lists what refers to `subject`: `sha256-…`.
fn tag_of(reference: &Reference, subject: &Digest) -> Reference {
    let text = format!("{}/{}:sha256-{}", reference.registry(), reference.repository(), subject.hex());
    text.parse().expect("a repository and a tag of letters and digits")
}

fn parse(bytes: &[u8], reference: &Reference, what: &str) -> Result<ImageIndex> {
    serde_json::from_slice(bytes).map_err(|error| Error::Malformed {
        registry: reference.registry().to_owned(),
        what: what.to_owned(),
        reason: crate::error::clean(&error.to_string()),
    })
}
