//! Anonymous tokens (distribution's token specification): asked for once a repository, sent to its registry only.

use std::fmt;
use std::io::Read;

use serde::Deserialize;
use ureq::http::{Request, Uri};

use crate::challenge::Challenge;
use crate::endpoint::Endpoint;
use crate::error::{clean, reason};
use crate::request::Ask;
use crate::{Client, Error, Result};

/// The most that is read of a token's document, in bytes.
const LIMIT: u64 = 1 << 20;
/// The longest token that is carried in a header, in bytes.
const LONGEST: usize = 64 << 10;

/// A bearer token. Never shown.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// The value of an `Authorization` header.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[derive(Deserialize)]
struct Document {
    token: Option<String>,
    access_token: Option<String>,
}

impl Client {
    /// Asks the server that a challenge names for a token.
    pub(crate) fn get_token(
        &self,
        endpoint: &Endpoint,
        ask: &Ask<'_>,
        challenge: &Challenge,
    ) -> Result<Token> {
        let Challenge::Bearer { realm, service, scope } = challenge else {
            let registry = ask.reference.registry().to_owned();
            return Err(Error::AuthenticationRequired { registry, what: ask.what.to_owned() });
        };
        let failed = |reason: String| Error::Token { what: ask.what.to_owned(), realm: clean(realm), reason };
        let own = format!("repository:{}:pull", ask.reference.repository());
        let uri = address(realm, service.as_deref(), scope.as_deref().unwrap_or(&own))
            .ok_or_else(|| failed("that is no address".to_owned()))?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if endpoint.is_plain() => {}
            _ => return Err(failed("refused, since it is not https".to_owned())),
        }
        let trust = self.trust_elsewhere(&uri);
        let request = Request::get(uri).body(()).map_err(|error| failed(error.to_string()))?;
        let answer = self.transport.send(request, trust, Some(self.options.patience));
        let answer = answer.map_err(|error| failed(reason(&error)))?;
        match answer.status().as_u16() {
            200 => {}
            401 | 403 => {
                let registry = ask.reference.registry().to_owned();
                return Err(Error::AuthenticationRequired { registry, what: ask.what.to_owned() });
            }
            status => return Err(failed(format!("it answered {status}"))),
        }
        let mut body = Vec::new();
        let read = answer.into_body().into_reader().take(LIMIT).read_to_end(&mut body);
        read.map_err(|error| failed(clean(&error.to_string())))?;
        let document: Document = serde_json::from_slice(&body)
            .map_err(|error| failed(format!("its answer is malformed: {error}")))?;
        let token = document.token.filter(|token| !token.is_empty()).or(document.access_token);
        let token = token.ok_or_else(|| failed("its answer holds no token".to_owned()))?;
        if token.is_empty() || token.len() > LONGEST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(failed("its answer holds a malformed token".to_owned()));
        }
        Ok(Token(token))
    }
}

/// `realm?service=…&scope=…`
fn address(realm: &str, service: Option<&str>, scope: &str) -> Option<Uri> {
    let mut text = realm.to_owned();
    let mut separator = if realm.contains('?') { '&' } else { '?' };
    for (key, value) in [("service", service), ("scope", Some(scope))] {
        if let Some(value) = value {
            text.push(separator);
            text.push_str(key);
            text.push('=');
            text.push_str(&encode(value));
            separator = '&';
        }
    }
    let uri: Uri = text.parse().ok()?;
    uri.authority().is_some_and(|authority| !authority.as_str().contains('@')).then_some(uri)
}

/// Percent-encoding of a query's value (RFC 3986 section 2.3: unreserved characters stay).
fn encode(value: &str) -> String {
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
    fn addresses_are_encoded() {
        let uri = address("https://a.example/t", Some("r&s"), "repository:a/b:pull").unwrap();
        assert_eq!(uri.to_string(), "https://a.example/t?service=r%26s&scope=repository%3Aa%2Fb%3Apull");
        let uri = address("https://a.example/t?x=1", None, "s").unwrap();
        assert_eq!(uri.to_string(), "https://a.example/t?x=1&scope=s");
        for bad in ["", "token", "https://u:p@a.example/", "https:// a"] {
            assert!(address(bad, None, "s").is_none(), "{bad}");
        }
    }

    #[test]
    fn tokens_are_not_shown() {
        assert_eq!(format!("{:?}", Token("secret".to_owned())), "Token(…)");
    }
}
