//! What a registry's answer means: success, or the error that its status stands for, in the registry's words.

use std::io::Read;
use std::time::Duration;

use ureq::Body;
use ureq::http::{Response, StatusCode, Uri, header};

use crate::error::clean;
use crate::{Error, Result};

/// The most that is read of an answer that says why not, in bytes.
const COMPLAINT: u64 = 16 << 10;

/// An answer of success.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<Body>,
    /// Who answered, at the end of all redirects.
    pub(crate) uri: Uri,
}

impl Answer {
    /// A header's text.
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }
}

/// Success, or the error that a status stands for.
pub(crate) fn verdict(answer: Answer, registry: &str, what: &str) -> Result<Answer> {
    let status = answer.status();
    if matches!(status, 200..=299) {
        return Ok(answer);
    }
    let (registry, what) = (registry.to_owned(), what.to_owned());
    let reason = complaint(answer.response);
    Err(match status {
        401 => Error::AuthenticationRequired { registry, what },
        403 => Error::Denied { registry, what, reason },
        404 => Error::NotFound { registry, what, reason },
        status => Error::Status { registry, what, status, reason },
    })
}

/// Why not, in the registry's words: `{"errors":[{"code":…,"message":…}]}`.
fn complaint(answer: Response<Body>) -> String {
    let phrase = answer.status().canonical_reason().unwrap_or("no reason given").to_ascii_lowercase();
    let mut body = Vec::new();
    if answer.into_body().into_reader().take(COMPLAINT).read_to_end(&mut body).is_err() {
        return phrase;
    }
    words(&body).unwrap_or(phrase)
}

/// The first error's message, or its code.
pub(crate) fn words(body: &[u8]) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(body).ok()?;
    let first = &document["errors"][0];
    let words = [&first["message"], &first["code"]].into_iter().find_map(serde_json::Value::as_str);
    words.map(clean).filter(|words| !words.is_empty())
}

/// Reads a short body to its end, so that its connection can be used again.
pub(crate) fn drain(answer: Response<Body>) {
    // One that cannot be read is closed instead.
    let _ = std::io::copy(&mut answer.into_body().into_reader().take(COMPLAINT), &mut std::io::sink());
}

pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

pub(crate) fn is_busy(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504)
}

/// `Retry-After` in seconds (RFC 9110 section 10.2.3; registries send no dates).
pub(crate) fn retry_after(answer: &Response<Body>) -> Option<Duration> {
    let seconds = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
