//! Lists: the tags of a repository, the repositories (Docker's `_catalog`), in pages.

use std::collections::BTreeSet;

use conex_http::{Head, Response};
use conex_oci::Reference;
use serde_json::json;

use crate::api::{Answer, Api, Code, Refusal};
use crate::repository::Repository;

/// The most entries of a page.
const PAGE: usize = 10_000;

impl Api {
    pub(crate) fn tags(&self, repository: &Repository, head: &Head) -> Answer {
        let roots = repository.roots(&self.content)?;
        if roots.is_empty() {
            return Err(Refusal::new(
                Code::NameUnknown,
                format!("{}: there is no such repository", repository.name),
            ));
        }
        let tagged = |root: &conex_content::Root| {
            let reference = root.reference()?;
            reference.tag().filter(|_| reference.digest().is_none()).map(str::to_owned)
        };
        let tags: BTreeSet<String> = roots.iter().filter_map(tagged).collect();
        let (page, link) = page(tags, head)?;
        let body = json!({"name": repository.name, "tags": page});
        Ok(listed(&body, link))
    }

    pub(crate) fn catalog(&self, head: &Head) -> Answer {
        let roots = self.content.roots()?;
        let names = roots.iter().filter_map(|root| root.reference().map(Reference::familiar_name));
        // A port's colon cannot stand in a repository's name.
        let (page, link) = page(names.filter(|name| !name.contains(':')).collect(), head)?;
        Ok(listed(&json!({"repositories": page}), link))
    }
}

fn listed(body: &serde_json::Value, link: Option<String>) -> Response {
    let response = Response::new(200).bytes("application/json", body.to_string().into_bytes());
    match link {
        Some(link) => response.with("Link", link),
        None => response,
    }
}

/// The entries after `last`, at most `n`; and the way to the next page.
fn page(all: BTreeSet<String>, head: &Head) -> Answer<(Vec<String>, Option<String>)> {
    let n = match head.query("n") {
        Some(text) => text.parse().map_err(|_| Refusal::new(Code::Unsupported, "n is no number"))?,
        None => PAGE,
    };
    let n: usize = usize::min(n, PAGE);
    let last = head.query("last").unwrap_or_default();
    let mut rest = all.into_iter().skip_while(|entry| !last.is_empty() && entry.as_str() <= last);
    let page: Vec<String> = rest.by_ref().take(n).collect();
    let more = rest.next().is_some();
    let link =
        page.last().filter(|_| more).map(|last| format!("<{}?n={n}&last={last}>; rel=\"next\"", head.path));
    Ok((page, link))
}
