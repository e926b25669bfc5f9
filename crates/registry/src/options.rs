//! How to treat registries.

use std::path::PathBuf;
use std::time::Duration;

use conex_oci::Reference;

use crate::auth::Credentials;
use crate::config::Registries;
use crate::endpoint::Place;
use crate::scope::Access;
use crate::{Error, Result};

/// Settings of a [`Client`](crate::Client).
#[derive(Debug, Clone)]
pub struct Options {
    /// Registries (`host` or `host:port`) whose certificates are not checked and that may speak plain http. Registries on
    /// this machine's loopback addresses are treated so in any case, as Docker does.
    pub insecure: Vec<String>,
    /// What the machine's configuration says of mirrors, of registries that are blocked or that need not prove anything.
    pub registries: Registries,
    /// Directories of certificates by registry (`certs.d`), best first.
    pub certificates: Vec<PathBuf>,
    /// Who we are to registries that ask.
    pub credentials: Credentials,
    /// How often a request is tried in all, when the registry is busy or the connection breaks.
    pub attempts: u32,
    /// The wait before the second try; doubled for each further one.
    pub backoff: Duration,
    /// How long a silent peer is waited for: while connecting, for an answer, for the next bytes of a blob.
    pub patience: Duration,
    /// The time for a whole document: a manifest, a list, a token.
    pub whole: Duration,
    /// The fewest bytes a second that a peer may bring, measured over a time of [`patience`](Self::patience).
    pub slowest: u64,
    /// Blobs larger than this are fetched in pieces over several connections, in bytes.
    pub wide: u64,
    /// Bytes of such a piece.
    pub piece: u64,
    /// Connections for one such blob.
    pub ranges: usize,
    /// Blobs larger than this are sent in chunks of this size, in bytes: what is lost at most when a connection breaks.
    pub chunk: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            insecure: Vec::new(),
            registries: Registries::none(),
            certificates: Vec::new(),
            credentials: Credentials::none(),
            attempts: 4,
            backoff: Duration::from_millis(500),
            patience: Duration::from_secs(30),
            whole: Duration::from_secs(60),
            slowest: 1 << 10,
            wide: 64 << 20,
            piece: 16 << 20,
            ranges: 4,
            chunk: 64 << 20,
        }
    }
}

impl Options {
    /// The size of the pieces in which a blob of `size` bytes is fetched, if it is.
    pub fn piece_of(&self, size: u64) -> Option<u64> {
        (size > self.wide && self.ranges > 1).then_some(self.piece)
    }

    /// The defaults, with `CONEX_INSECURE_REGISTRIES` (a comma-separated list) as the insecure registries, the machine's
    /// [`Registries`] and certificates, and the user's [`Credentials`].
    pub fn from_env() -> Self {
        let listed = std::env::var("CONEX_INSECURE_REGISTRIES").unwrap_or_default();
        let insecure = listed.split([',', ' ']).map(str::trim).filter(|host| !host.is_empty());
        Self {
            insecure: insecure.map(str::to_owned).collect(),
            registries: Registries::from_env(),
            certificates: crate::certificates::usual_places(),
            credentials: Credentials::from_env(),
            ..Self::default()
        }
    }

    /// Whether nothing has to be proven by `host:port`.
    pub(crate) fn is_insecure(&self, authority: &str) -> bool {
        let configured = || self.registries.is_insecure(authority).unwrap_or(false);
        self.insecure.iter().any(|listed| listed == authority) || configured()
    }

    /// A registry as a whole.
    pub(crate) fn place_of(&self, registry: &str) -> Result<Place> {
        let valid =
            format!("{registry}/x").parse::<Reference>().is_ok_and(|name| name.registry() == registry);
        if !valid {
            return Err(Error::NoRegistry { name: crate::error::clean(registry) });
        }
        let insecure = self.registries.is_insecure(registry)? || self.is_insecure(registry);
        Ok(Place { registry: registry.to_owned(), repository: String::new(), insecure })
    }

    /// Where `reference` is, best first: its mirrors, then its registry.
    pub(crate) fn places(&self, reference: &Reference, access: Access) -> Result<Vec<Place>> {
        let mut places = self.registries.places(reference, access)?;
        for place in &mut places {
            place.insecure |= self.insecure.contains(&place.registry);
        }
        Ok(places)
    }
}
