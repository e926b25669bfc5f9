//! What goes to a registry: manifests by `PUT`, and the questions about blobs that come before an upload
//! (distribution-spec 1.1, the push part). The upload itself is in `upload`.

use std::collections::BTreeMap;

use conex_oci::{Descriptor, Digest, Reference, Selector};
use ureq::http::{Method, Uri, header};

use crate::answer::drain;
use crate::payload::Payload;
use crate::request::{Ask, Target};
use crate::scope::Access;
use crate::{Client, Error, Result};

/// What a manifest says of itself to whoever lists it.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct About {
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

impl About {
    /// Its entry in its subject's list (distribution-spec, "Pushing Manifests with Subject").
    fn listed(self, descriptor: &Descriptor) -> Descriptor {
        let kind = self.artifact_type.or(self.config.map(|config| config.media_type));
        Descriptor {
            artifact_type: kind,
            annotations: self.annotations,
            ..Descriptor::new(descriptor.media_type.clone(), descriptor.digest, descriptor.size)
        }
    }
}

impl Client {
    /// Whether the repository has the blob.
    pub fn has_blob(&self, reference: &Reference, digest: &Digest) -> Result<bool> {
        let (what, path) = (format!("blob {digest}"), format!("blobs/{digest}"));
        let ask = Ask { access: Access::Push, ..Ask::new(&what, Method::HEAD, Target::Within(&path)) };
        match self.ask(reference, &ask) {
            Ok(answer) => {
                drain(answer.response);
                Ok(true)
            }
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the repository that is pushed to has the manifest.
    pub fn has_manifest(&self, reference: &Reference, digest: &Digest) -> Result<bool> {
        let (what, path) = (format!("manifest {digest}"), format!("manifests/{digest}"));
        let ask = Ask {
            access: Access::Push,
            accept: Some(crate::manifest::ACCEPT),
            ..Ask::new(&what, Method::HEAD, Target::Within(&path))
        };
        match self.ask(reference, &ask) {
            Ok(answer) => {
                drain(answer.response);
                Ok(true)
            }
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Puts a manifest or index where `reference` says: under its tag, or by its digest. What it lists has to be there. One
    /// that is about another is listed among that one's referrers, by the registry or by us.
    pub fn push_manifest(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        bytes: &[u8],
    ) -> Result<Digest> {
        let selector = match reference.selector() {
            Selector::Tag(tag) => tag.clone(),
            Selector::Digest { digest, .. } => digest.to_string(),
        };
        let (what, path) = (format!("manifest {}", reference.familiar()), format!("manifests/{selector}"));
        let ask = Ask {
            access: Access::Push,
            body: Payload::Bytes(bytes, &descriptor.media_type),
            ..Ask::new(&what, Method::PUT, Target::Within(&path))
        };
        let answer = self.ask(reference, &ask)?;
        let stated = answer.header("docker-content-digest").map(|text| text.trim().parse::<Digest>());
        if let Some(Ok(got)) = stated
            && got != descriptor.digest
        {
            let registry = reference.registry().to_owned();
            drain(answer.response);
            return Err(Error::Digest { registry, what, expected: descriptor.digest, got });
        }
        let lists_referrers = answer.header("oci-subject").is_some();
        drain(answer.response);
        let about: About = serde_json::from_slice(bytes).unwrap_or_default();
        if let Some(subject) = about.subject.clone().filter(|_| !lists_referrers) {
            self.list_referrer(reference, &subject.digest, about.listed(descriptor))?;
        }
        Ok(descriptor.digest)
    }

    /// Removes a manifest from the repository: by digest everything, by tag the tag alone where the registry can do that.
    pub fn delete_manifest(&self, reference: &Reference) -> Result<()> {
        let selector = match reference.selector() {
            Selector::Tag(tag) => tag.clone(),
            Selector::Digest { digest, .. } => digest.to_string(),
        };
        let (what, path) = (format!("manifest {}", reference.familiar()), format!("manifests/{selector}"));
        let ask = Ask { access: Access::Delete, ..Ask::new(&what, Method::DELETE, Target::Within(&path)) };
        drain(self.ask(reference, &ask)?.response);
        Ok(())
    }

    /// The repository's tags, in the registry's order; all pages (distribution-spec, end-8b).
    pub fn tags(&self, reference: &Reference) -> Result<Vec<String>> {
        let what = format!("tags of {}", reference.familiar_name());
        let (mut tags, mut page) = (Vec::new(), None);
        for _ in 0..PAGES {
            let target = page.as_ref().map_or(Target::Within("tags/list?n=1000"), Target::At);
            let answer = self.ask(reference, &Ask::new(&what, Method::GET, target))?;
            page = next_page(&answer)?;
            let bytes = crate::manifest::whole_body(answer, reference, &what)?;
            let listed = tags_of(&bytes).map_err(|error| Error::Malformed {
                registry: reference.registry().to_owned(),
                what: what.clone(),
                reason: crate::error::clean(&error.to_string()),
            })?;
            let before = tags.len();
            tags.extend(listed);
            if page.is_none() || tags.len() == before {
                return Ok(tags);
            }
        }
        let registry = reference.registry().to_owned();
        Err(Error::Malformed { registry, what, reason: format!("it has more than {PAGES} pages") })
    }
}

/// The most pages of a list that are read.
pub(crate) const PAGES: usize = 256;

#[derive(serde::Deserialize)]
struct Tags {
    // Null for a repository without tags.
    tags: Option<Vec<String>>,
}

/// The tags of a page that can be tags.
pub(crate) fn tags_of(bytes: &[u8]) -> serde_json::Result<Vec<String>> {
    let list: Tags = serde_json::from_slice(bytes)?;
    let honest = |tag: &String| format!("a:{tag}").parse::<Reference>().is_ok();
    Ok(list.tags.unwrap_or_default().into_iter().filter(honest).collect())
}

/// Where the next page of a list is.
pub(crate) fn next_page(answer: &crate::answer::Answer) -> Result<Option<Uri>> {
    let Some(target) = answer.header(header::LINK).and_then(next_link) else { return Ok(None) };
    let next = crate::redirect::next(&answer.uri, target).map_err(|reason| Error::Redirect {
        registry: answer.uri.host().unwrap_or_default().to_owned(),
        what: "the next page of a list".to_owned(),
        location: crate::redirect::shown_text(target),
        reason,
    })?;
    Ok(Some(next))
}

/// The target of `Link: </v2/…?last=…>; rel="next"` (RFC 8288), which may be one of several.
pub(crate) fn next_link(header: &str) -> Option<&str> {
    header.split('<').skip(1).find_map(|link| {
        let (target, parameters) = link.split_once('>')?;
        let mut parameters = parameters.split([';', ',']).filter_map(|parameter| parameter.split_once('='));
        let is_next = |(key, value): (&str, &str)| {
            key.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
        };
        parameters.any(is_next).then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_among_others() {
        for (header, expected) in [
            (r#"</v2/a/tags/list?n=2&last=b>; rel="next""#, Some("/v2/a/tags/list?n=2&last=b")),
            ("<https://r.example/x>;REL=next", Some("https://r.example/x")),
            (r#"</before>; rel="prev", </after>; title="x"; rel="next""#, Some("/after")),
            (r#"</before>; rel="prev"; title="next""#, None),
            ("</x>", None),
            ("next", None),
            ("</x; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next_link(header), expected, "{header}");
        }
    }
}
