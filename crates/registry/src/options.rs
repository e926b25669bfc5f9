//! How to treat registries.

use std::time::Duration;

/// Settings of a [`Client`](crate::Client).
#[derive(Debug, Clone)]
pub struct Options {
    /// Registries (`host` or `host:port`) whose certificates are not checked and that may speak plain http. Registries on
    /// this machine's loopback addresses are treated so in any case, as Docker does.
    pub insecure: Vec<String>,
    /// How often a request is tried in all, when the registry is busy or the connection breaks.
    pub attempts: u32,
    /// The wait before the second try; doubled for each further one.
    pub backoff: Duration,
    /// How long a silent peer is waited for: while connecting, for an answer, for the next bytes of a blob.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            insecure: Vec::new(),
            attempts: 4,
            backoff: Duration::from_millis(500),
            patience: Duration::from_secs(30),
        }
    }
}

impl Options {
    /// The defaults, with `CONEX_INSECURE_REGISTRIES` (a comma-separated list) as the insecure registries.
    pub fn from_env() -> Self {
        let listed = std::env::var("CONEX_INSECURE_REGISTRIES").unwrap_or_default();
        let insecure = listed.split([',', ' ']).map(str::trim).filter(|host| !host.is_empty());
        Self { insecure: insecure.map(str::to_owned).collect(), ..Self::default() }
    }
}
