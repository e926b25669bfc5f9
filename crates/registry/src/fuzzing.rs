//! The readers of what strangers say, one by one, for the fuzz target `registry` (`fuzz/src/registry.rs`) and its corpus among
//! this crate's tests. Nothing else is to use them.

use std::net::IpAddr;

use ureq::http::Uri;

use crate::challenge::Challenge;
use crate::names::message;
use crate::scope::Scopes;

/// Where the challenge of a `WWW-Authenticate` header has tokens asked for at a registry that is spoken to over plain http or not:
/// the whole address, with what is asked for. `None` also for what is refused.
pub fn token_address(header: &str, is_plain: bool) -> Option<String> {
    let Some(Challenge::Bearer(bearer)) = crate::challenge::parse(header) else { return None };
    let uri = crate::token::address(&bearer.realm, is_plain).ok()?;
    let mut scopes = Scopes::default();
    scopes.add(bearer.scope.as_deref().unwrap_or_default());
    let service = bearer.service.map(|service| ("service", service));
    let fields: Vec<_> = service.into_iter().chain(scopes.words().map(|word| ("scope", word))).collect();
    Some(crate::token::with_fields(&uri, &fields))
}

/// Where a `Location` that came from the address `from` leads, and whether what is shown to the one is shown to the other.
///
/// # Errors
/// Why it is not followed.
pub fn redirect(from: &str, location: &str) -> Result<(String, bool), &'static str> {
    let from: Uri = from.parse().map_err(|_| "not an address")?;
    let uri = crate::redirect::next(&from, location)?;
    Ok((uri.to_string(), crate::redirect::same_origin(&from, &uri)))
}

/// The address that ends an upload which goes on at `location`.
pub fn upload_end(location: &str) -> Option<String> {
    let digest = conex_oci::Digest::of(b"");
    crate::upload::with_digest(&location.parse().ok()?, &digest, "").ok().map(|uri| uri.to_string())
}

/// An address in an error line.
pub fn shown(text: &str) -> String {
    crate::redirect::shown_text(text)
}

/// The target of a `Link` header that leads to the next page.
pub fn next_link(link: &str) -> Option<&str> {
    crate::push::next_link(link)
}

/// Bytes that a `Range` header says are kept of an upload.
pub fn kept(range: &str) -> Option<u64> {
    crate::upload::kept(range)
}

/// The first byte of a `Content-Range` header.
pub fn first_of(range: &str) -> Option<u64> {
    crate::blob::first_of(range)
}

/// The words of an answer that says why not.
pub fn complaint(body: &[u8]) -> Option<String> {
    crate::answer::words(body)
}

/// The `Authorization` header that a token's document makes.
///
/// # Errors
/// Why it makes none.
pub fn token(body: &[u8]) -> Result<String, String> {
    crate::token::granted(body).map(|granted| granted.token.header().to_owned())
}

/// A page of tags.
///
/// # Errors
/// Why it is none.
pub fn tags(body: &[u8]) -> serde_json::Result<Vec<String>> {
    crate::push::tags_of(body)
}

/// The media type of a manifest or index that came with a `Content-Type`.
///
/// # Errors
/// Why it is neither.
pub fn kind(content_type: Option<&str>, body: &[u8]) -> Result<String, String> {
    crate::manifest::kind_of(content_type.map(crate::manifest::essence), body)
}

/// The parts of a file's name in an artifact.
pub fn parts(name: &str) -> Option<Vec<&std::ffi::OsStr>> {
    crate::artifact::name::parts(name)
}

/// A DNS question for the addresses of a host.
pub fn question(name: &str) -> Option<Vec<u8>> {
    message::question(7, name, message::Kind::A)
}

/// The addresses in the answer to it.
pub fn addresses(question: &[u8], answer: &[u8]) -> Option<Vec<IpAddr>> {
    match message::answer(question, answer)? {
        message::Answer::Addresses(addresses) => Some(addresses),
        _ => None,
    }
}
