//! From a method and a path to what is meant (distribution-spec 1.1, "Endpoints").

use conex_http::{Body, Head, Response};
use conex_oci::Digest;

use crate::api::{Answer, Api, Code, Refusal};
use crate::repository::Repository;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Thing<'p> {
    Base,
    Catalog,
    Tags,
    Manifest(&'p str),
    Blob(&'p str),
    Uploads,
    Upload(&'p str),
    Referrers(&'p str),
}

/// The repository's name and the thing in it. Names may have any of the words of the API in them: the last counts.
fn parse(path: &str) -> Option<(&str, Thing<'_>)> {
    let rest = path.strip_prefix("/v2")?;
    if matches!(rest, "" | "/") {
        return Some(("", Thing::Base));
    }
    let rest = rest.strip_prefix('/')?;
    if rest == "_catalog" {
        return Some(("", Thing::Catalog));
    }
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Some((name, Thing::Tags));
    }
    if let Some(name) = rest.strip_suffix("/blobs/uploads/").or_else(|| rest.strip_suffix("/blobs/uploads")) {
        return Some((name, Thing::Uploads));
    }
    let (before, last) = rest.rsplit_once('/')?;
    if let Some(name) = before.strip_suffix("/blobs/uploads") {
        return Some((name, Thing::Upload(last)));
    }
    let (name, kind) = before.rsplit_once('/')?;
    let thing = match kind {
        "manifests" => Thing::Manifest(last),
        "blobs" => Thing::Blob(last),
        "referrers" => Thing::Referrers(last),
        _ => return None,
    };
    Some((name, thing))
}

impl Api {
    /// Answers a request.
    pub(crate) fn route(&self, head: &Head, body: &mut Body<'_, '_>) -> Response {
        let answered = self.dispatch(head, body);
        let response = answered.unwrap_or_else(Refusal::response);
        // Docker's clients look for it.
        response.with("Docker-Distribution-Api-Version", "registry/2.0")
    }

    fn dispatch(&self, head: &Head, body: &mut Body<'_, '_>) -> Answer {
        let Some((name, thing)) = parse(&head.path) else {
            return Ok(crate::api::error(404, "UNSUPPORTED", "there is nothing of that name in a registry"));
        };
        let unsupported = || Refusal::new(Code::Unsupported, "the method is not supported here");
        let method = head.method.as_str();
        if !matches!(method, "GET" | "HEAD") && self.read_only {
            return Err(Refusal::new(Code::Unsupported, "the registry is read only"));
        }
        match (thing, method) {
            (Thing::Base, "GET" | "HEAD") => {
                return Ok(Response::new(200).bytes("application/json", b"{}".to_vec()));
            }
            (Thing::Catalog, "GET" | "HEAD") => return self.catalog(head),
            (Thing::Base | Thing::Catalog, _) => return Err(unsupported()),
            _ => {}
        }
        let (_, thing) = parse(&head.path).ok_or_else(unsupported)?;
        let repository = Repository::new(name)?;
        match (thing, method) {
            (Thing::Tags, "GET" | "HEAD") => self.tags(&repository, head),
            (Thing::Referrers(text), "GET" | "HEAD") => self.referrers(&repository, &digest(text)?, head),
            (Thing::Manifest(selector), "GET" | "HEAD") => self.get_manifest(&repository, selector),
            (Thing::Manifest(selector), "PUT") => self.put_manifest(&repository, selector, head, body),
            (Thing::Manifest(selector), "DELETE") => self.delete_manifest(&repository, selector),
            (Thing::Blob(text), "GET" | "HEAD") => self.get_blob(&digest(text)?, head),
            (Thing::Blob(text), "DELETE") => self.delete_blob(&digest(text)?),
            (Thing::Uploads, "POST") => self.open_upload(&repository, head, body),
            (Thing::Upload(id), "GET") => self.look_at_upload(&repository, id),
            (Thing::Upload(id), "PATCH") => self.continue_upload(&repository, id, head, body),
            (Thing::Upload(id), "PUT") => self.end_upload(&repository, id, head, body),
            (Thing::Upload(id), "DELETE") => self.cancel_upload(id),
            _ => Err(unsupported()),
        }
    }
}

/// A digest of a path or a query.
pub(crate) fn digest(text: &str) -> Answer<Digest> {
    text.parse().map_err(|error| Refusal::new(Code::DigestInvalid, format!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (path, expected) in [
            ("/v2", Some(("", Thing::Base))),
            ("/v2/", Some(("", Thing::Base))),
            ("/v2/_catalog", Some(("", Thing::Catalog))),
            ("/v2/a/tags/list", Some(("a", Thing::Tags))),
            ("/v2/a/b/manifests/t", Some(("a/b", Thing::Manifest("t")))),
            ("/v2/a/blobs/uploads/", Some(("a", Thing::Uploads))),
            ("/v2/a/blobs/uploads/1", Some(("a", Thing::Upload("1")))),
            ("/v2/a/blobs/sha256:1", Some(("a", Thing::Blob("sha256:1")))),
            ("/v2/blobs/uploads/manifests/t", Some(("blobs/uploads", Thing::Manifest("t")))),
            ("/v2/a/referrers/x", Some(("a", Thing::Referrers("x")))),
            ("/v2/manifests/t", None),
            ("/v1/", None),
            ("/v2x", None),
            ("/", None),
        ] {
            assert_eq!(parse(path), expected, "{path}");
        }
    }
}
