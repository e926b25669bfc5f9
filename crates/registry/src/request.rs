//! One question to a registry: the way there, authentication, redirects, second tries.
//!
//! The rules: what we show a registry goes to its own host only; redirects lead where [`crate::redirect`] allows, within
//! a few steps.

use std::io;
use std::time::Duration;

use conex_oci::Reference;
use ureq::http::{Method, Request, Response, StatusCode, Uri, header};
use ureq::{Body, SendBody, Timeout};

use crate::answer::{Answer, drain, is_busy, is_redirect, retry_after, verdict};
use crate::challenge::{Challenge, parse};
use crate::endpoint::{Endpoint, Place, Trust, is_loopback, ways};
use crate::error::{clean, reason};
use crate::payload::Payload;
use crate::redirect::{NEAR, Reach, next, same_origin, shown, shown_text};
use crate::scope::{Access, Scopes};
use crate::token::Wanted;
use crate::{Client, Error, Result};

/// How many redirects lead to a blob at most; real registries use one or two.
const REDIRECTS: usize = 5;
/// The longest wait that a busy registry may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) enum Target<'a> {
    /// `/v2/`
    Root,
    /// `/v2/REPOSITORY/…`: the rest, beginning with what kind of thing it is.
    Within(&'a str),
    /// Where the registry has told us to go on (an upload).
    At(&'a Uri),
}

/// A question.
#[derive(Clone)]
pub(crate) struct Ask<'a> {
    /// For people: `manifest alpine:3.20`.
    pub(crate) what: &'a str,
    pub(crate) method: Method,
    pub(crate) target: Target<'a>,
    pub(crate) accept: Option<&'static str>,
    /// More headers.
    pub(crate) headers: &'a [(header::HeaderName, String)],
    pub(crate) body: Payload<'a>,
    pub(crate) access: Access,
    /// A second repository of the registry that is read (a mount).
    pub(crate) from: Option<&'a str>,
    /// Whether the time for the whole body is bounded; not for blobs, which may be large.
    pub(crate) bounded: bool,
    /// Whether it can be asked again when the connection broke: not what goes on where it stopped.
    pub(crate) again: bool,
    /// Whether an identity token is wanted: a login.
    pub(crate) offline: bool,
}

impl<'a> Ask<'a> {
    /// A question about something in a repository.
    pub(crate) fn new(what: &'a str, method: Method, target: Target<'a>) -> Self {
        Self {
            what,
            method,
            target,
            accept: None,
            headers: &[],
            body: Payload::None,
            access: Access::Pull,
            from: None,
            bounded: true,
            again: true,
            offline: false,
        }
    }

    /// What a token for it shall allow at `place`.
    fn scopes(&self, place: &Place) -> Scopes {
        let mut scopes = Scopes::of(&place.repository, self.access);
        if let Some(from) = self.from {
            scopes.allow(from, Access::Pull);
        }
        scopes
    }

    fn redirect(&self, place: &Place, location: &str, reason: &'static str) -> Error {
        Error::Redirect {
            registry: place.registry.clone(),
            what: self.what.to_owned(),
            location: shown_text(location),
            reason,
        }
    }
}

impl Client {
    /// Asks where `reference` is; gives back an answer of success only.
    pub(crate) fn ask(&self, reference: &Reference, ask: &Ask<'_>) -> Result<Answer> {
        let places = self.options.places(reference, ask.access)?;
        let Some((last, mirrors)) = places.split_last() else { unreachable!("a reference is somewhere") };
        for mirror in mirrors.iter().filter(|mirror| !self.is_dead(&mirror.registry)) {
            match self.ask_at(mirror, ask) {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    log::debug!("mirror {}: {error}", mirror.registry);
                    if matches!(error, Error::Unreachable { .. } | Error::Certificate { .. }) {
                        self.remember_dead(&mirror.registry);
                    }
                }
            }
        }
        self.ask_at(last, ask)
    }

    /// For who has got other bytes than were asked for: the first of the mirrors that are still asked is asked no more. False when
    /// there is none, so that what came is the registry's own fault.
    pub fn pass_over_mirror(&self, reference: &Reference) -> Result<bool> {
        let places = self.options.places(reference, Access::Pull)?;
        let mirrors = places.split_last().map_or(&[][..], |(_, mirrors)| mirrors);
        let Some(mirror) = mirrors.iter().find(|mirror| !self.is_dead(&mirror.registry)) else {
            return Ok(false);
        };
        log::warn!("mirror {} is passed over: it serves other bytes than were asked for", mirror.registry);
        self.remember_dead(&mirror.registry);
        Ok(true)
    }

    /// Asks at one place.
    pub(crate) fn ask_at(&self, place: &Place, ask: &Ask<'_>) -> Result<Answer> {
        if let Some(endpoint) = self.way(place) {
            return self.persist(place, &endpoint, ask);
        }
        let ways = ways(place);
        for (index, endpoint) in ways.iter().enumerate() {
            // While there is another way, a failure to connect is an answer: it speaks something else here.
            let last = index + 1 == ways.len();
            if !last && let Err(error @ Error::Unreachable { .. }) = self.probe(place, endpoint) {
                log::debug!("{}: {error}", endpoint.base);
                continue;
            }
            let answer = self.persist(place, endpoint, ask);
            if !matches!(answer, Err(Error::Unreachable { .. } | Error::Certificate { .. })) {
                self.remember_way(place, endpoint.clone());
            }
            return answer;
        }
        unreachable!("there is at least one way to a registry")
    }

    /// Whether somebody speaks HTTP there (distribution-spec, end-1). What is said does not matter.
    fn probe(&self, place: &Place, endpoint: &Endpoint) -> Result<()> {
        let url = format!("{}/v2/", endpoint.base);
        let request = Request::get(&url).body(SendBody::none());
        let request = request.map_err(|source| Error::Address { url, source })?;
        let answer =
            self.transport.send(request, endpoint.trust, Reach::Anywhere, Some(self.options.patience));
        drain(answer.map_err(|error| unreachable_error(place.registry.clone(), error))?);
        Ok(())
    }

    /// Asks again while the registry is busy or the connection breaks.
    fn persist(&self, place: &Place, endpoint: &Endpoint, ask: &Ask<'_>) -> Result<Answer> {
        let mut wait = self.options.backoff;
        for attempt in 1.. {
            let last = attempt >= self.options.attempts || !ask.again;
            let pause = match self.exchange(place, endpoint, ask) {
                Ok(answer) if !last && is_busy(answer.response.status()) => {
                    retry_after(&answer.response).unwrap_or(wait)
                }
                Ok(answer) => return verdict(answer, &place.registry, ask.what),
                Err(Error::Unreachable { source, .. }) if !last && is_transient(&source) => wait,
                Err(error) => return Err(error),
            };
            log::debug!("{}: waiting {pause:?} before try {}", ask.what, attempt + 1);
            std::thread::sleep(pause.min(LONGEST_WAIT));
            wait *= 2;
        }
        unreachable!("attempts are counted without end")
    }

    /// One try: with what the registry wants to see once it has asked for it.
    fn exchange(&self, place: &Place, endpoint: &Endpoint, ask: &Ask<'_>) -> Result<Answer> {
        let scopes = ask.scopes(place);
        let mut authorized = false;
        loop {
            let (answer, at_home) = self.follow(place, endpoint, ask, &scopes)?;
            // Nobody but the registry itself says where its tokens come from.
            if answer.response.status() != StatusCode::UNAUTHORIZED || !at_home {
                return Ok(answer);
            }
            let challenge = challenge(&answer.response);
            drain(answer.response);
            let credential = self.credential(place)?;
            let wanted = Wanted {
                registry: &place.registry,
                what: ask.what,
                scopes: &scopes,
                credential: credential.as_ref(),
                offline: ask.offline && credential.is_some(),
            };
            if authorized {
                return Err(wanted.refused());
            }
            self.authorize(place, endpoint, &wanted, challenge)?;
            authorized = true;
        }
    }

    /// The answer at the end of all redirects, and whether it is the registry's own.
    fn follow(
        &self,
        place: &Place,
        endpoint: &Endpoint,
        ask: &Ask<'_>,
        scopes: &Scopes,
    ) -> Result<(Answer, bool)> {
        let address = |url: String| move |source| Error::Address { url, source };
        let text = match ask.target {
            Target::Root | Target::At(_) => format!("{}/v2/", endpoint.base),
            Target::Within(rest) => format!("{}/v2/{}/{rest}", endpoint.base, place.repository),
        };
        let home: Uri =
            text.parse().map_err(|source: ureq::http::uri::InvalidUri| address(text)(source.into()))?;
        let mut uri = if let Target::At(uri) = ask.target { uri.clone() } else { home.clone() };
        for _ in 0..=REDIRECTS {
            let at_home = same_origin(&uri, &home);
            let reach = self
                .reach_from(&home, &uri)
                .map_err(|reason| ask.redirect(place, &uri.to_string(), reason))?;
            let trust = if at_home { endpoint.trust } else { self.trust_elsewhere(&uri) };
            let mut request = Request::builder().method(&ask.method).uri(&uri);
            if let Some(accept) = ask.accept {
                request = request.header(header::ACCEPT, accept);
            }
            for (name, value) in ask.headers {
                request = request.header(name, value);
            }
            if at_home && let Some(token) = self.token(place, scopes) {
                request = request.header(header::AUTHORIZATION, token.header());
            }
            let whole = ask.bounded.then_some(self.options.whole);
            let sent = ask.body.send(request, |request| self.transport.send(request, trust, reach, whole));
            let response = match sent.map_err(|source| address(shown(&uri))(source))? {
                Ok(response) => response,
                Err(error) if is_refused_near(&error) => {
                    return Err(ask.redirect(place, &uri.to_string(), NEAR));
                }
                Err(error) => return Err(unreachable_error(peer(place, &uri, at_home), error)),
            };
            if !is_redirect(response.status()) {
                return Ok((Answer { response, uri }, at_home));
            }
            let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let location = location.unwrap_or_default().to_owned();
            let keeps_method = matches!(response.status().as_u16(), 307 | 308);
            drain(response);
            if !keeps_method && !matches!(ask.method, Method::GET | Method::HEAD) {
                return Err(ask.redirect(place, &location, "refused, since it would lose what is sent"));
            }
            uri = next(&uri, &location).map_err(|reason| ask.redirect(place, &location, reason))?;
        }
        Err(ask.redirect(place, &uri.to_string(), "too many redirects"))
    }

    /// What a host other than the registry has to prove.
    pub(crate) fn trust_elsewhere(&self, uri: &Uri) -> Trust {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let lax = is_loopback(authority) || self.options.is_insecure(authority);
        if lax { Trust::Anything } else { Trust::Certificate }
    }
}

/// Who could not be reached: the registry, or whom it sent us to.
fn peer(place: &Place, uri: &Uri, at_home: bool) -> String {
    let host = uri.authority().map_or("", |authority| authority.as_str());
    if at_home { place.registry.clone() } else { format!("{} (blobs at {})", place.registry, clean(host)) }
}

/// The best challenge of all `WWW-Authenticate` headers.
fn challenge(answer: &Response<Body>) -> Option<Challenge> {
    let headers = answer.headers().get_all(header::WWW_AUTHENTICATE).iter().take(8);
    let challenges: Vec<Challenge> = headers.filter_map(|value| parse(value.to_str().ok()?)).collect();
    let bearer = challenges.iter().find(|challenge| matches!(challenge, Challenge::Bearer(_)));
    bearer.or(challenges.first()).cloned()
}

/// Whether trying again may help. Nobody there, an unknown name and a silent host are final.
fn is_transient(error: &ureq::Error) -> bool {
    use io::ErrorKind;
    match error {
        ureq::Error::Io(io) => !matches!(
            io.kind(),
            ErrorKind::ConnectionRefused | ErrorKind::InvalidData | ErrorKind::PermissionDenied
        ),
        ureq::Error::Timeout(what) => !matches!(what, Timeout::Connect | Timeout::Resolve),
        ureq::Error::Protocol(_) | ureq::Error::BodyStalled => true,
        _ => false,
    }
}

/// Whether all addresses of a host were near ones, which somebody else must not send us to.
fn is_refused_near(error: &ureq::Error) -> bool {
    let ureq::Error::Io(io) = error else { return false };
    matches!(io.get_ref(), Some(inner) if inner.is::<crate::names::Near>())
}

/// An error of the connection, told apart from one of trust.
pub(crate) fn unreachable_error(registry: String, error: ureq::Error) -> Error {
    let (reason, source) = (reason(&error), Box::new(error));
    if reason.contains("certificate") {
        return Error::Certificate { registry, reason, source };
    }
    Error::Unreachable { registry, reason, source }
}
