//! One question to a registry: the way there, authentication, redirects, second tries.
//!
//! The rules: a token goes to the registry's own host only; what began on https never continues on http; only http and
//! https are followed; a redirect leads somewhere within a few steps.

use std::time::Duration;

use conex_oci::Reference;
use ureq::http::{Method, Request, Response, StatusCode, Uri, header};
use ureq::{Body, Timeout};

use crate::challenge::{Challenge, parse};
use crate::endpoint::{Endpoint, Trust, is_loopback, ways};
use crate::error::{clean, reason};
use crate::{Client, Error, Result};

/// How many redirects lead to a blob at most; real registries use one or two.
const REDIRECTS: usize = 5;
/// The longest wait that a busy registry may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The most that is read of an answer that says why not, in bytes.
const COMPLAINT: u64 = 16 << 10;

/// A question.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) reference: &'a Reference,
    /// For people: `manifest alpine:3.20`.
    pub(crate) what: &'a str,
    pub(crate) method: Method,
    /// Begins with `/v2/`.
    pub(crate) path: &'a str,
    pub(crate) accept: Option<&'static str>,
    /// The first byte that is wanted.
    pub(crate) from: u64,
    /// The time for the whole body; none for blobs, which may be large.
    pub(crate) whole: Option<Duration>,
}

impl Ask<'_> {
    fn registry(&self) -> String {
        self.reference.registry().to_owned()
    }

    fn redirect(&self, location: &str, reason: &'static str) -> Error {
        Error::Redirect {
            registry: self.registry(),
            what: self.what.to_owned(),
            location: clean(location),
            reason,
        }
    }
}

impl Client {
    /// Asks, and gives back an answer of success (200 or 206) only.
    pub(crate) fn ask(&self, ask: &Ask<'_>) -> Result<Response<Body>> {
        let registry = ask.reference.registry();
        if let Some(endpoint) = self.way(registry) {
            return self.persist(&endpoint, ask);
        }
        let ways = ways(registry, &self.options.insecure);
        for (index, endpoint) in ways.iter().enumerate() {
            // While there is another way, a failure to connect is an answer: it speaks something else here.
            let last = index + 1 == ways.len();
            if !last && let Err(error @ Error::Unreachable { .. }) = self.probe(endpoint, ask) {
                log::debug!("{}: {error}", endpoint.base);
                continue;
            }
            let answer = self.persist(endpoint, ask);
            if !matches!(answer, Err(Error::Unreachable { .. } | Error::Certificate { .. })) {
                self.remember_way(registry, endpoint.clone());
            }
            return answer;
        }
        unreachable!("there is at least one way to a registry")
    }

    /// Whether somebody speaks HTTP there (distribution-spec, end-1). What is said does not matter.
    fn probe(&self, endpoint: &Endpoint, ask: &Ask<'_>) -> Result<()> {
        let url = format!("{}/v2/", endpoint.base);
        let request = Request::get(&url).body(()).map_err(|source| Error::Address { url, source })?;
        let answer = self.transport.send(request, endpoint.trust, Some(self.options.patience));
        drain(answer.map_err(|error| unreachable_error(ask.registry(), error))?);
        Ok(())
    }

    /// Asks again while the registry is busy or the connection breaks.
    fn persist(&self, endpoint: &Endpoint, ask: &Ask<'_>) -> Result<Response<Body>> {
        let mut wait = self.options.backoff;
        for attempt in 1.. {
            let last = attempt >= self.options.attempts;
            let pause = match self.exchange(endpoint, ask) {
                Ok(answer) if !last && is_busy(answer.status()) => retry_after(&answer).unwrap_or(wait),
                Ok(answer) => return verdict(answer, ask),
                Err(Error::Unreachable { source, .. }) if !last && is_transient(&source) => wait,
                Err(error) => return Err(error),
            };
            log::debug!("{}: waiting {pause:?} before try {}", ask.what, attempt + 1);
            std::thread::sleep(pause.min(LONGEST_WAIT));
            wait *= 2;
        }
        unreachable!("attempts are counted without end")
    }

    /// One try: with a token once one is asked for, along redirects.
    fn exchange(&self, endpoint: &Endpoint, ask: &Ask<'_>) -> Result<Response<Body>> {
        let mut authorized = false;
        loop {
            let (answer, at_home) = self.follow(endpoint, ask)?;
            // Nobody but the registry itself says where its tokens come from.
            if answer.status() != StatusCode::UNAUTHORIZED || authorized || !at_home {
                return Ok(answer);
            }
            let challenge = answer.headers().get(header::WWW_AUTHENTICATE);
            let challenge = challenge.and_then(|value| value.to_str().ok()).map(parse);
            drain(answer);
            let Some(challenge @ Challenge::Bearer { .. }) = challenge else {
                return Err(Error::AuthenticationRequired {
                    registry: ask.registry(),
                    what: ask.what.to_owned(),
                });
            };
            let token = self.get_token(endpoint, ask, &challenge)?;
            self.remember_token(ask.reference, token);
            authorized = true;
        }
    }

    /// The answer at the end of all redirects, and whether it is the registry's own.
    fn follow(&self, endpoint: &Endpoint, ask: &Ask<'_>) -> Result<(Response<Body>, bool)> {
        let address = |url: String| move |source| Error::Address { url, source };
        let text = format!("{}{}", endpoint.base, ask.path);
        let home: Uri =
            text.parse().map_err(|source: ureq::http::uri::InvalidUri| address(text)(source.into()))?;
        let (mut uri, mut trust) = (home.clone(), endpoint.trust);
        for _ in 0..=REDIRECTS {
            let mut request = Request::builder().method(&ask.method).uri(&uri);
            if let Some(accept) = ask.accept {
                request = request.header(header::ACCEPT, accept);
            }
            if ask.from > 0 {
                request = request.header(header::RANGE, format!("bytes={}-", ask.from));
            }
            if same_origin(&uri, &home)
                && let Some(token) = self.token(ask.reference)
            {
                request = request.header(header::AUTHORIZATION, token.header());
            }
            let request = request.body(()).map_err(address(uri.to_string()))?;
            let host = uri.authority().map_or_else(String::new, ToString::to_string);
            let answer = self
                .transport
                .send(request, trust, ask.whole)
                .map_err(|error| unreachable_error(self.peer(ask, &uri, &home, host), error))?;
            if !is_redirect(answer.status()) {
                return Ok((answer, same_origin(&uri, &home)));
            }
            let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let location = location.unwrap_or_default().to_owned();
            drain(answer);
            let next = next(&uri, &location).map_err(|reason| ask.redirect(&location, reason))?;
            trust = if same_origin(&next, &home) { endpoint.trust } else { self.trust_elsewhere(&next) };
            uri = next;
        }
        Err(ask.redirect(&clean(&uri.to_string()), "too many redirects"))
    }

    /// Who could not be reached: the registry, or whom it sent us to.
    fn peer(&self, ask: &Ask<'_>, uri: &Uri, home: &Uri, host: String) -> String {
        if same_origin(uri, home) { ask.registry() } else { format!("{} (blobs at {host})", ask.registry()) }
    }

    /// What a host other than the registry has to prove.
    pub(crate) fn trust_elsewhere(&self, uri: &Uri) -> Trust {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let lax = is_loopback(authority) || self.options.insecure.iter().any(|listed| listed == authority);
        if lax { Trust::Anything } else { Trust::Certificate }
    }
}

/// Where a redirect leads, or why it must not be followed.
fn next(from: &Uri, location: &str) -> Result<Uri, &'static str> {
    let absolute = if location.starts_with("//") {
        format!("{}:{location}", from.scheme_str().unwrap_or("https"))
    } else if location.starts_with('/') {
        let authority = from.authority().map_or("", |authority| authority.as_str());
        format!("{}://{authority}{location}", from.scheme_str().unwrap_or("https"))
    } else {
        location.to_owned()
    };
    let uri: Uri = absolute.parse().map_err(|_| "not an address")?;
    match (from.scheme_str(), uri.scheme_str()) {
        (_, Some("https")) | (Some("http"), Some("http")) => {}
        (_, Some("http")) => return Err("refused, since it leads from https to plain http"),
        _ => return Err("refused, since only https and http are followed"),
    }
    if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return Err("refused, since it carries credentials");
    }
    Ok(uri)
}

fn same_origin(one: &Uri, other: &Uri) -> bool {
    one.scheme() == other.scheme() && one.authority() == other.authority()
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504)
}

fn retry_after(answer: &Response<Body>) -> Option<Duration> {
    let seconds = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Whether trying again may help. Nobody there, an unknown name and a silent host are final.
fn is_transient(error: &ureq::Error) -> bool {
    use std::io::ErrorKind;
    match error {
        ureq::Error::Io(io) => !matches!(io.kind(), ErrorKind::ConnectionRefused | ErrorKind::InvalidData),
        ureq::Error::Timeout(what) => !matches!(what, Timeout::Connect | Timeout::Resolve),
        ureq::Error::Protocol(_) | ureq::Error::BodyStalled => true,
        _ => false,
    }
}

/// An error of the connection, told apart from one of trust.
pub(crate) fn unreachable_error(registry: String, error: ureq::Error) -> Error {
    let (reason, source) = (reason(&error), Box::new(error));
    if reason.contains("certificate") {
        return Error::Certificate { registry, reason, source };
    }
    Error::Unreachable { registry, reason, source }
}

/// Success, or the error that a status stands for.
fn verdict(answer: Response<Body>, ask: &Ask<'_>) -> Result<Response<Body>> {
    let status = answer.status();
    if matches!(status.as_u16(), 200 | 206) {
        return Ok(answer);
    }
    let (registry, what) = (ask.registry(), ask.what.to_owned());
    let reason = complaint(answer);
    Err(match status.as_u16() {
        401 => Error::AuthenticationRequired { registry, what },
        403 => Error::Denied { registry, what, reason },
        404 => Error::NotFound { registry, what, reason },
        status => Error::Status { registry, what, status, reason },
    })
}

/// Why not, in the registry's words: `{"errors":[{"code":…,"message":…}]}`.
fn complaint(answer: Response<Body>) -> String {
    use std::io::Read;
    let phrase = answer.status().canonical_reason().unwrap_or("no reason given").to_ascii_lowercase();
    let mut body = Vec::new();
    if answer.into_body().into_reader().take(COMPLAINT).read_to_end(&mut body).is_err() {
        return phrase;
    }
    let document: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let first = &document["errors"][0];
    let words = [&first["message"], &first["code"]].into_iter().find_map(serde_json::Value::as_str);
    words.map(clean).filter(|words| !words.is_empty()).unwrap_or(phrase)
}

/// Reads a short body to its end, so that its connection can be used again.
pub(crate) fn drain(answer: Response<Body>) {
    use std::io::Read;
    // One that cannot be read is closed instead.
    let _ = std::io::copy(&mut answer.into_body().into_reader().take(COMPLAINT), &mut std::io::sink());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(from: &str, to: &str) -> Result<String, &'static str> {
        next(&from.parse().unwrap(), to).map(|uri| uri.to_string())
    }

    #[test]
    fn redirects_lead_to_safe_places_only() {
        let home = "https://r.example/v2/a/blobs/x";
        assert_eq!(go(home, "https://cdn.example/x?y=1"), Ok("https://cdn.example/x?y=1".to_owned()));
        assert_eq!(go(home, "/other"), Ok("https://r.example/other".to_owned()));
        assert_eq!(go(home, "//cdn.example/x"), Ok("https://cdn.example/x".to_owned()));
        assert_eq!(go("http://r.example/a", "http://cdn.example/x"), Ok("http://cdn.example/x".to_owned()));
        for bad in
            ["http://cdn.example/x", "file:///etc/passwd", "ftp://x/y", "", "relative", "https://u:p@h/x"]
        {
            assert!(go(home, bad).is_err(), "{bad}");
        }
    }
}
