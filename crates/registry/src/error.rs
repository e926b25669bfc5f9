//! What can go wrong with a registry. Each message is one line and, where there is a cure, names it.
//!
//! Whatever a registry says is hostile text: it is clipped and its control characters are gone before it gets here.

use conex_oci::{Digest, DigestError};

/// The result of a registry operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed registry operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke more often than we were patient.
    #[error("cannot reach registry {registry}: {reason}")]
    Unreachable {
        /// The registry's host.
        registry: String,
        /// Why, for people.
        reason: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// The certificate of the registry is not one that this machine trusts.
    #[error(
        "cannot trust registry {registry}: {reason} (name its authority's certificates in SSL_CERT_FILE, or list it \
         in CONEX_INSECURE_REGISTRIES)"
    )]
    Certificate {
        /// The registry's host.
        registry: String,
        /// Why, for people.
        reason: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// There is no such tag or digest.
    #[error("{what} not found in registry {registry}: {reason}")]
    NotFound {
        /// The registry's host.
        registry: String,
        /// The manifest or blob.
        what: String,
        /// In the registry's words.
        reason: String,
    },
    /// The registry wants to know who asks.
    #[error(
        "authentication required: registry {registry} does not give {what} to anonymous users (it may not exist, or \
         be private; see 'conex login')"
    )]
    AuthenticationRequired {
        /// The registry's host.
        registry: String,
        /// The manifest or blob.
        what: String,
    },
    /// The registry knows who asks, and does not let them in.
    #[error(
        "unauthorized: registry {registry} does not accept {user} for {what} (the password or token may be wrong or \
         have expired, or not allow it; log in again)"
    )]
    Unauthorized {
        /// The registry's host.
        registry: String,
        /// The manifest or blob.
        what: String,
        /// Who asked.
        user: String,
    },
    /// The registry refuses.
    #[error("access denied: registry {registry} refuses {what}: {reason}")]
    Denied {
        /// The registry's host.
        registry: String,
        /// The manifest or blob.
        what: String,
        /// In the registry's words.
        reason: String,
    },
    /// A name or a secret that cannot be sent.
    #[error(
        "malformed credential: a user name has no colon, and neither it nor a password is empty or has line breaks"
    )]
    MalformedCredential,
    /// A text that names no registry.
    #[error("{name:?} is no registry (expected HOST or HOST:PORT)")]
    NoRegistry {
        /// The text.
        name: String,
    },
    /// The machine's configuration of registries.
    #[error("cannot use {}: {reason}", path.display())]
    Configuration {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        reason: String,
    },
    /// The configuration says that it is not to be asked.
    #[error("{name} is blocked by the configuration of registries (prefix {prefix:?})")]
    Blocked {
        /// What was asked for.
        name: String,
        /// The entry.
        prefix: String,
    },
    /// A file of credentials.
    #[error("cannot {action} credentials in {}: {reason}", path.display())]
    Credentials {
        /// The file.
        path: std::path::PathBuf,
        /// `read`, `write`, `use`
        action: &'static str,
        /// Why, without a secret in it.
        reason: String,
    },
    /// A credential helper.
    #[error("credential helper docker-credential-{name} ({verb}): {reason}")]
    Helper {
        /// Which.
        name: String,
        /// `get`, `store`, `erase`
        verb: &'static str,
        /// Why, without a secret in it.
        reason: String,
    },
    /// A token could not be had.
    #[error("cannot get a token for {what} from {realm}: {reason}")]
    Token {
        /// The manifest or blob.
        what: String,
        /// The server of tokens.
        realm: String,
        /// Why.
        reason: String,
    },
    /// The registry answered with a status that ends the matter.
    #[error("registry {registry} answered {status} for {what}: {reason}")]
    Status {
        /// The registry's host.
        registry: String,
        /// The manifest or blob.
        what: String,
        /// The HTTP status.
        status: u16,
        /// In the registry's words.
        reason: String,
    },
    /// A redirect that must not be followed.
    #[error("registry {registry} redirects {what} to {location}: {reason}")]
    Redirect {
        /// The registry's host.
        registry: String,
        /// The manifest or blob.
        what: String,
        /// Where to.
        location: String,
        /// Why not.
        reason: &'static str,
    },
    /// A document is larger than any honest one.
    #[error("{what} from registry {registry} is larger than {limit} bytes, the most that is read")]
    TooLarge {
        /// The registry's host.
        registry: String,
        /// The manifest.
        what: String,
        /// Bytes.
        limit: u64,
    },
    /// The bytes are not those that were asked for.
    #[error("{what} from registry {registry} is not what was asked for: expected {expected}, got {got}")]
    Digest {
        /// The registry's host.
        registry: String,
        /// The manifest.
        what: String,
        /// The promise.
        expected: Digest,
        /// What came.
        got: Digest,
    },
    /// A digest that the registry states is none.
    #[error("registry {registry} states a malformed digest for {what}: {source}")]
    MalformedDigest {
        /// The registry's host.
        registry: String,
        /// The manifest.
        what: String,
        /// Why.
        source: DigestError,
    },
    /// A part of a blob was asked for, and something else came.
    #[error("registry {registry} does not give parts of blobs")]
    Ranges {
        /// The registry's host.
        registry: String,
    },
    /// More or fewer bytes than the descriptor says.
    #[error("{what} from registry {registry} has the wrong size: expected {expected} bytes, got {got}")]
    Size {
        /// The registry's host.
        registry: String,
        /// The blob.
        what: String,
        /// Bytes.
        expected: u64,
        /// Bytes, or "more".
        got: String,
    },
    /// No document that images are made of.
    #[error("{what} from registry {registry} is no image manifest or index: {reason}")]
    NotAManifest {
        /// The registry's host.
        registry: String,
        /// The manifest.
        what: String,
        /// What it is instead.
        reason: String,
    },
    /// A list that is none.
    #[error("{what} from registry {registry} is malformed: {reason}")]
    Malformed {
        /// The registry's host.
        registry: String,
        /// The list.
        what: String,
        /// Why.
        reason: String,
    },
    /// What is no artifact.
    #[error("{name} is no artifact: {reason}")]
    NotAnArtifact {
        /// As it was named.
        name: String,
        /// What it is instead.
        reason: String,
    },
    /// A file's name that leads out of the directory that it belongs into.
    #[error(
        "{name:?} cannot be the name of an artifact's file (expected a relative path that stays below its directory)"
    )]
    ArtifactName {
        /// The name.
        name: String,
    },
    /// A file of an artifact.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// `read`, `write`, `make`, `open`
        action: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A name that makes no URL.
    #[error("{url} is no address that can be asked: {source}")]
    Address {
        /// What was tried.
        url: String,
        /// Why.
        source: ureq::http::Error,
    },
}

/// Text of a peer for an error line: short, one line, nothing that a terminal would obey.
pub(crate) fn clean(text: &str) -> String {
    const LIMIT: usize = 200;
    let mut clean: String =
        text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(LIMIT).collect();
    if text.chars().count() > LIMIT {
        clean.push('…');
    }
    clean
}

/// An HTTP client's error in few words, without its own prefix.
pub(crate) fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(io) => clean(&io.to_string()),
        ureq::Error::Rustls(tls) => clean(&tls.to_string()),
        ureq::Error::HostNotFound => "its host name is not known (check the name and the network)".to_owned(),
        ureq::Error::Timeout(what) => format!("no answer in time ({what})"),
        other => clean(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_does_not_reach_the_terminal() {
        assert_eq!(clean("a\x1b[31mb\nc\r"), "a [31mb c");
        assert!(clean(&"x".repeat(100_000)).chars().count() <= 201);
    }
}
