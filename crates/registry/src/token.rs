//! Tokens (distribution's token and OAuth2 specifications): asked for once for what they shall allow, kept until they
//! expire, sent to their registry only.

use std::fmt;
use std::io::Read;
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::{Method, Request, Uri, header};
use ureq::{Body, SendBody};

use crate::auth::{Credential, Secret, basic};
use crate::challenge::Bearer;
use crate::endpoint::Endpoint;
use crate::error::{clean, reason};
use crate::redirect::{Reach, shown};
use crate::scope::Scopes;
use crate::{Client, Error, Result};

/// The most that is read of a token's document, in bytes.
const LIMIT: u64 = 1 << 20;
/// The longest token that is carried in a header, in bytes.
const LONGEST: usize = 64 << 10;
/// How long a token lives that does not say: the specification's own default.
const LIFETIME: Duration = Duration::from_secs(60);
/// Who asks, to an OAuth2 server.
const CLIENT_ID: &str = "conex";

/// What an `Authorization` header says. Never shown.
#[derive(Clone)]
pub(crate) struct Token {
    header: Secret,
    until: Option<Instant>,
}

impl Token {
    /// A name and a password, which do not expire.
    pub(crate) fn basic(username: &str, password: &Secret) -> Self {
        Self { header: basic(username, password), until: None }
    }

    /// A bearer token that does not expire as far as we know.
    pub(crate) fn bearer(token: &Secret) -> Self {
        Self { header: Secret::new(format!("Bearer {}", token.reveal())), until: None }
    }

    /// The value of an `Authorization` header.
    pub(crate) fn header(&self) -> &str {
        self.header.reveal()
    }

    /// Whether it can still be used. The last tenth of its life is left out, for requests that are on their way.
    pub(crate) fn is_fresh(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A token, and perhaps what gets the next one.
pub(crate) struct Granted {
    pub(crate) token: Token,
    /// An identity token, where the server gives one.
    pub(crate) refresh: Option<Secret>,
}

#[derive(Deserialize)]
struct Document {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
    refresh_token: Option<String>,
}

/// What a token is wanted for.
pub(crate) struct Wanted<'a> {
    pub(crate) registry: &'a str,
    /// For people.
    pub(crate) what: &'a str,
    pub(crate) scopes: &'a Scopes,
    pub(crate) credential: Option<&'a Credential>,
    /// Whether an identity token is wanted too, as a login does.
    pub(crate) offline: bool,
}

impl Wanted<'_> {
    /// The registry does not take who we are, or nobody that does not say.
    pub(crate) fn refused(&self) -> Error {
        let (registry, what) = (self.registry.to_owned(), self.what.to_owned());
        match self.credential {
            None => Error::AuthenticationRequired { registry, what },
            Some(credential) => {
                let user = credential.username().map(clean);
                Error::Unauthorized { registry, what, user: user.unwrap_or_else(|| "the token".to_owned()) }
            }
        }
    }
}

impl Client {
    /// Asks the server that a challenge names for a token.
    pub(crate) fn get_token(
        &self,
        endpoint: &Endpoint,
        wanted: &Wanted<'_>,
        bearer: &Bearer,
    ) -> Result<Granted> {
        let Bearer { realm, service, .. } = bearer;
        let failed = |reason: String| Error::Token {
            what: wanted.what.to_owned(),
            realm: realm.parse().map_or_else(|_| clean(realm), |uri| shown(&uri)),
            reason,
        };
        let mut fields: Vec<(&str, String)> = Vec::new();
        if let Some(service) = service {
            fields.push(("service", service.clone()));
        }
        let scopes: Vec<String> = wanted.scopes.words().collect();
        let uri = address(realm, endpoint.is_plain()).map_err(|reason| failed(reason.to_owned()))?;
        let reach = self.reach_from(&endpoint.base.parse().unwrap_or_default(), &uri);
        let reach = reach.map_err(|reason| failed(reason.to_owned()))?;
        let answer = match wanted.credential {
            Some(Credential::IdentityToken { token, .. }) => {
                // RFC 6749 section 6. Scopes are one field there.
                fields.extend([
                    ("grant_type", "refresh_token".to_owned()),
                    ("refresh_token", token.reveal().to_owned()),
                    ("client_id", CLIENT_ID.to_owned()),
                    ("scope", scopes.join(" ")),
                ]);
                self.post_form(uri, &fields, reach)
            }
            credential => {
                fields.extend(scopes.into_iter().map(|scope| ("scope", scope)));
                let mut authorization = None;
                if let Some(Credential::Password { username, password }) = credential {
                    fields.push(("account", username.clone()));
                    authorization = Some(basic(username, password));
                }
                if wanted.offline {
                    fields
                        .extend([("client_id", CLIENT_ID.to_owned()), ("offline_token", "true".to_owned())]);
                }
                self.get_query(&uri, &fields, authorization, reach)
            }
        };
        let answer = answer.map_err(|error| failed(reason(&error)))?;
        match answer.status().as_u16() {
            200 => {}
            // OAuth2 says 400 for a grant that is not valid (any more).
            400 | 401 | 403 if wanted.credential.is_some() => return Err(wanted.refused()),
            401 | 403 => return Err(wanted.refused()),
            status => return Err(failed(format!("it answered {status}"))),
        }
        grant(answer.into_body()).map_err(failed)
    }

    fn get_query(
        &self,
        uri: &Uri,
        fields: &[(&str, String)],
        authorization: Option<Secret>,
        reach: Reach,
    ) -> Result<ureq::http::Response<Body>, ureq::Error> {
        let mut request = Request::get(with_fields(uri, fields));
        if let Some(authorization) = &authorization {
            request = request.header(header::AUTHORIZATION, authorization.reveal());
        }
        let request = request.body(SendBody::none())?;
        let trust = self.trust_elsewhere(uri);
        self.transport.send(request, trust, reach, Some(self.options.whole))
    }

    fn post_form(
        &self,
        uri: Uri,
        fields: &[(&str, String)],
        reach: Reach,
    ) -> Result<ureq::http::Response<Body>, ureq::Error> {
        let trust = self.trust_elsewhere(&uri);
        let body = form(fields);
        let mut bytes = body.as_bytes();
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::CONTENT_LENGTH, body.len())
            .body(SendBody::from_reader(&mut bytes))?;
        self.transport.send(request, trust, reach, Some(self.options.whole))
    }
}

/// Where tokens are asked for, or why not there; over plain http only if the registry is asked so too.
pub(crate) fn address(realm: &str, is_plain: bool) -> Result<Uri, &'static str> {
    let uri: Uri = realm.parse().map_err(|_| "that is no address")?;
    if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return Err("that is no address");
    }
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_plain => Ok(uri),
        _ => Err("refused, since it is not https"),
    }
}

/// The address with more in its query.
pub(crate) fn with_fields(uri: &Uri, fields: &[(&str, String)]) -> String {
    let joint = if uri.query().is_some() { '&' } else { '?' };
    if fields.is_empty() { uri.to_string() } else { format!("{uri}{joint}{}", form(fields)) }
}

/// Reads what a server of tokens says.
fn grant(body: Body) -> Result<Granted, String> {
    let mut bytes = Vec::new();
    let read = body.into_reader().take(LIMIT).read_to_end(&mut bytes);
    read.map_err(|error| clean(&error.to_string()))?;
    granted(&bytes)
}

pub(crate) fn granted(bytes: &[u8]) -> Result<Granted, String> {
    // Not serde_json's own words: they may quote a token.
    let document: Document = serde_json::from_slice(bytes).map_err(|error| {
        format!("its answer is malformed at line {} column {}", error.line(), error.column())
    })?;
    let token = document.token.filter(|token| !token.is_empty()).or(document.access_token);
    let token = token.ok_or("its answer holds no token")?;
    if token.is_empty() || token.len() > LONGEST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its answer holds a malformed token".to_owned());
    }
    let life = document.expires_in.map_or(LIFETIME, |seconds| Duration::from_secs(seconds.clamp(60, 86_400)));
    let until = Some(Instant::now() + life * 9 / 10);
    let refresh = document.refresh_token.map(Secret::new).filter(Secret::is_sound);
    Ok(Granted { token: Token { until, ..Token::bearer(&Secret::new(token)) }, refresh })
}

/// `key=value&…` (application/x-www-form-urlencoded), for a query and for a body.
fn form(fields: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (key, value) in fields {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(key);
        text.push('=');
        text.push_str(&encode(value));
    }
    text
}

/// Percent-encoding of a query's value (RFC 3986 section 2.3: unreserved characters stay).
pub(crate) fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded() {
        let fields = [("service", "r&s".to_owned()), ("scope", "repository:a/b:pull".to_owned())];
        assert_eq!(form(&fields), "service=r%26s&scope=repository%3Aa%2Fb%3Apull");
    }

    #[test]
    fn tokens_are_not_shown_and_expire() {
        let token = Token::bearer(&Secret::new("secret"));
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert!(token.is_fresh());
        assert!(!Token { until: Some(Instant::now()), ..token }.is_fresh());
    }
}
