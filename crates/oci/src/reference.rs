//! Image references as people type them: `[registry/]repository[:tag][@digest]`, with Docker's shorthands.
//!
//! `alpine` means `docker.io/library/alpine:latest`. [`Reference`] always holds the full form; [`Reference::familiar`]
//! gives back the short one for tables. The grammar is distribution-spec's, so a reference is always safe in a URL.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::clip;
use crate::{Digest, DigestError};

const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_NAMESPACE: &str = "library/";
const DEFAULT_TAG: &str = "latest";

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The whole is empty or breaks the grammar.
    #[error("invalid reference format: {0:?} (expected [registry/]name[:tag][@sha256:…])")]
    Format(String),
    /// Docker's best-known complaint.
    #[error("invalid reference format: repository name {0:?} must be lowercase")]
    UpperCase(String),
    /// The part after `@` is no digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// What a reference selects within its repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    /// `:tag`
    Tag(String),
    /// `@sha256:…`, with the tag that stood beside it for people to read
    Digest {
        /// What is fetched.
        digest: Digest,
        /// What a person wrote before it; not used to select.
        tag: Option<String>,
    },
}

/// A complete image reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    registry: String,
    repository: String,
    selector: Selector,
}

impl Reference {
    /// Host and optional port: `docker.io`, `127.0.0.1:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path in the registry: `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag or digest.
    pub fn selector(&self) -> &Selector {
        &self.selector
    }

    /// The tag, if one was written or implied.
    pub fn tag(&self) -> Option<&str> {
        match &self.selector {
            Selector::Tag(tag) => Some(tag),
            Selector::Digest { tag, .. } => tag.as_deref(),
        }
    }

    /// The digest, if one was written.
    pub fn digest(&self) -> Option<&Digest> {
        match &self.selector {
            Selector::Tag(_) => None,
            Selector::Digest { digest, .. } => Some(digest),
        }
    }

    /// The same repository at `digest`.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { selector: Selector::Digest { digest, tag: None }, ..self.clone() }
    }

    /// The short form of the repository, as `docker images` shows it: `alpine`, `user/app`, `quay.io/a/b`. Read again it is
    /// the same, so that some names have none: `docker.io/localhost/app`.
    pub fn familiar_name(&self) -> String {
        let own = self.repository.strip_prefix(DEFAULT_NAMESPACE).filter(|name| !name.contains('/'));
        let short = own.unwrap_or(&self.repository);
        let misleads = short.split_once('/').is_some_and(|(first, _)| is_registry(first));
        if self.registry == DEFAULT_REGISTRY && !misleads {
            return short.to_owned();
        }
        format!("{}/{}", self.registry, self.repository)
    }

    /// The short form of the whole: `alpine:latest`.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_name(), self.suffix())
    }

    fn suffix(&self) -> String {
        match &self.selector {
            Selector::Tag(tag) => format!(":{tag}"),
            Selector::Digest { digest, tag: Some(tag) } => format!(":{tag}@{digest}"),
            Selector::Digest { digest, tag: None } => format!("@{digest}"),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.registry, self.repository, self.suffix())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let malformed = || ReferenceError::Format(clip(text));
        if text.len() > 1024 {
            return Err(malformed());
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        // A colon after the last slash starts a tag; before it, a port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(malformed());
        }
        let (registry, path) = match name.split_once('/') {
            Some((first, path)) if is_registry(first) => (first, path.to_owned()),
            _ => (DEFAULT_REGISTRY, name.to_owned()),
        };
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
        let repository = if registry == DEFAULT_REGISTRY && !path.contains('/') {
            format!("{DEFAULT_NAMESPACE}{path}")
        } else {
            path
        };
        if !is_host(registry) || repository.len() > 255 || !repository.split('/').all(is_component) {
            let lower = repository.to_ascii_lowercase();
            return Err(if lower != repository && lower.split('/').all(is_component) {
                ReferenceError::UpperCase(clip(name))
            } else {
                malformed()
            });
        }
        let tag = tag.map(str::to_owned);
        let selector = match digest {
            Some(digest) => Selector::Digest { digest, tag },
            None => Selector::Tag(tag.unwrap_or_else(|| DEFAULT_TAG.to_owned())),
        };
        Ok(Self { registry: registry.to_owned(), repository, selector })
    }
}

/// The first component is a registry when it has a dot, a port, or is `localhost` (Docker's rule).
fn is_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    if port.is_some_and(|port| !port.bytes().all(|b| b.is_ascii_digit()) || port.parse::<u16>().is_err()) {
        return false;
    }
    // RFC 1035 section 2.3.4. What is read has to be short enough to be read again in full.
    if name.len() > 253 {
        return false;
    }
    if let Some(address) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    name.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    if !bytes.first().is_some_and(|&b| word(b)) || !bytes.last().is_some_and(|&b| word(b)) {
        return false;
    }
    bytes.split(|&b| word(b)).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|&b| b == b'-')
    })
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
fn is_tag(tag: &str) -> bool {
    tag.len() <= 128
        && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;
    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorthands() {
        for (typed, full, familiar) in [
            ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"),
            ("user/app", "docker.io/user/app:latest", "user/app:latest"),
            ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
            ("127.0.0.1:5000/a/b:v1", "127.0.0.1:5000/a/b:v1", "127.0.0.1:5000/a/b:v1"),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
            ("index.docker.io/x", "docker.io/library/x:latest", "x:latest"),
            ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
            ("docker.io/a.b", "docker.io/library/a.b:latest", "a.b:latest"),
            ("docker.io/a.b/c", "docker.io/a.b/c:latest", "docker.io/a.b/c:latest"),
            ("docker.io/localhost/c", "docker.io/localhost/c:latest", "docker.io/localhost/c:latest"),
        ] {
            let reference: Reference = typed.parse().unwrap_or_else(|e| panic!("{typed}: {e}"));
            assert_eq!(reference.to_string(), full);
            assert_eq!(reference.familiar(), familiar);
            assert_eq!(full.parse::<Reference>().unwrap(), reference);
            assert_eq!(familiar.parse::<Reference>().unwrap(), reference);
        }
    }

    #[test]
    fn the_longest_reference_can_be_read_in_full() {
        let digest = Digest::of(b"");
        let host = ["h".repeat(62).as_str(); 4].join(".") + "hh";
        let path = format!("{}/{}", "p".repeat(127), "q".repeat(127));
        let longest = format!("{host}:65535/{path}:{}@{digest}", "t".repeat(128));
        let reference: Reference = longest.parse().unwrap();
        assert_eq!(reference.to_string(), longest);
        for bad in [
            format!("h{longest}"),
            longest.replacen("65535", "65536", 1),
            format!("{}.a/b", "h".repeat(1000)),
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn digests_select_and_tags_beside_them_stay() {
        let digest = Digest::of(b"x");
        let reference: Reference = format!("alpine:3@{digest}").parse().unwrap();
        assert_eq!((reference.digest(), reference.tag()), (Some(&digest), Some("3")));
    }

    #[test]
    fn hostile_references_are_refused() {
        for bad in [
            "",
            ":",
            "@",
            "a:",
            "-a",
            "a//b",
            "../a",
            "a/../b",
            "a b",
            "Alpine",
            "a:t@sha256:zz",
            "a:b:c",
            "/a",
            "http://x/y",
            "host:port/x",
            "a.b/",
            "a___b",
            "x@y",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?} was taken");
        }
        assert_eq!(
            "Alpine".parse::<Reference>().unwrap_err().to_string(),
            "invalid reference format: repository name \"Alpine\" must be lowercase"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_parses_or_fails_without_panic(text in ".{0,80}") {
            if let Ok(reference) = text.parse::<Reference>() {
                proptest::prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
            }
        }
    }
}
