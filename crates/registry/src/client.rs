//! The client: what it remembers of the registries it has talked to.

use std::collections::HashMap;
use std::sync::Mutex;

use conex_oci::Reference;

use crate::Options;
use crate::endpoint::Endpoint;
use crate::token::Token;
use crate::transport::Transport;

/// Talks to registries, anonymously. Made for one command, not for a day: tokens and ways are remembered until it is dropped.
#[derive(Debug)]
pub struct Client {
    pub(crate) options: Options,
    pub(crate) transport: Transport,
    /// The way that worked, by registry.
    ways: Mutex<HashMap<String, Endpoint>>,
    /// By registry and repository: a token allows one repository.
    tokens: Mutex<HashMap<(String, String), Token>>,
}

impl Client {
    /// A client that has talked to nobody yet.
    pub fn new(options: Options) -> Self {
        let transport = Transport::new(&options);
        Self { options, transport, ways: Mutex::default(), tokens: Mutex::default() }
    }

    pub(crate) fn way(&self, registry: &str) -> Option<Endpoint> {
        unpoisoned(&self.ways).get(registry).cloned()
    }

    pub(crate) fn remember_way(&self, registry: &str, endpoint: Endpoint) {
        unpoisoned(&self.ways).insert(registry.to_owned(), endpoint);
    }

    pub(crate) fn token(&self, reference: &Reference) -> Option<Token> {
        unpoisoned(&self.tokens).get(&scope_of(reference)).cloned()
    }

    pub(crate) fn remember_token(&self, reference: &Reference, token: Token) {
        unpoisoned(&self.tokens).insert(scope_of(reference), token);
    }
}

fn scope_of(reference: &Reference) -> (String, String) {
    (reference.registry().to_owned(), reference.repository().to_owned())
}

/// The maps are whole whoever panicked beside them: each change is one insertion.
fn unpoisoned<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
