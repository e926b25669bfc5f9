//! The client: what it remembers of the registries it has talked to.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use crate::auth::{Credential, Secret};
use crate::challenge::Challenge;
use crate::endpoint::{Endpoint, Place};
use crate::scope::Scopes;
use crate::token::{Token, Wanted};
use crate::transport::Transport;
use crate::{Error, Options, Result};

/// Talks to registries. Made for one command, not for a day: tokens and ways are remembered until it is dropped.
#[derive(Debug)]
pub struct Client {
    pub(crate) options: Options,
    pub(crate) transport: Transport,
    /// The way that worked, by registry and whether it has to prove anything.
    ways: Mutex<HashMap<(String, bool), Endpoint>>,
    /// By registry and what it allows.
    tokens: Mutex<HashMap<(String, Scopes), Token>>,
    /// By registry and repository: a helper is asked once.
    credentials: Mutex<HashMap<(String, String), Option<Credential>>>,
    /// By registry: what a login tries.
    given: Mutex<HashMap<String, Credential>>,
    /// What a login was given.
    identity: Mutex<Option<Secret>>,
    /// By host: whether it is on this machine.
    near: Mutex<HashMap<String, bool>>,
    /// Mirrors that cannot be reached, or serve what they should not.
    dead: Mutex<HashSet<String>>,
}

impl Client {
    /// A client that has talked to nobody yet.
    pub fn new(options: Options) -> Self {
        let transport = Transport::new(&options);
        Self {
            options,
            transport,
            ways: Mutex::default(),
            tokens: Mutex::default(),
            credentials: Mutex::default(),
            given: Mutex::default(),
            identity: Mutex::default(),
            near: Mutex::default(),
            dead: Mutex::default(),
        }
    }

    /// How it treats registries.
    pub fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn way(&self, place: &Place) -> Option<Endpoint> {
        unpoisoned(&self.ways).get(&(place.registry.clone(), place.insecure)).cloned()
    }

    pub(crate) fn remember_way(&self, place: &Place, endpoint: Endpoint) {
        unpoisoned(&self.ways).insert((place.registry.clone(), place.insecure), endpoint);
    }

    pub(crate) fn is_dead(&self, registry: &str) -> bool {
        unpoisoned(&self.dead).contains(registry)
    }

    pub(crate) fn remember_dead(&self, registry: &str) {
        unpoisoned(&self.dead).insert(registry.to_owned());
    }

    /// A token for the scopes, if there is one that has not expired.
    pub(crate) fn token(&self, place: &Place, scopes: &Scopes) -> Option<Token> {
        let key = (place.registry.clone(), scopes.clone());
        unpoisoned(&self.tokens).get(&key).filter(|token| token.is_fresh()).cloned()
    }

    pub(crate) fn remember_near(&self, host: &str, look: impl FnOnce() -> bool) -> bool {
        if let Some(known) = unpoisoned(&self.near).get(host) {
            return *known;
        }
        let near = look();
        unpoisoned(&self.near).insert(host.to_owned(), near);
        near
    }

    /// Shows `credential` to the registry, whatever is kept for it.
    pub(crate) fn use_credential(&self, registry: &str, credential: Credential) {
        unpoisoned(&self.given).insert(registry.to_owned(), credential);
    }

    /// The identity token that came with a token.
    pub(crate) fn take_identity(&self) -> Option<Secret> {
        unpoisoned(&self.identity).take()
    }

    /// Who we are there.
    pub(crate) fn credential(&self, place: &Place) -> Result<Option<Credential>> {
        if let Some(given) = unpoisoned(&self.given).get(&place.registry) {
            return Ok(Some(given.clone()));
        }
        let key = (place.registry.clone(), place.repository.clone());
        // Held while a helper is asked, so that several threads do not make it ask its user several times.
        let mut credentials = unpoisoned(&self.credentials);
        if let Some(known) = credentials.get(&key) {
            return Ok(known.clone());
        }
        let found = self.options.credentials.find(&place.registry, &place.repository)?;
        credentials.insert(key, found.clone());
        Ok(found)
    }

    /// Gets what the registry wants to see, and remembers it for questions of the same scopes.
    pub(crate) fn authorize(
        &self,
        place: &Place,
        endpoint: &Endpoint,
        wanted: &Wanted<'_>,
        challenge: Option<Challenge>,
    ) -> Result<()> {
        let token = match (challenge, wanted.credential) {
            (Some(Challenge::Bearer(_)), Some(Credential::RegistryToken(token))) => Token::bearer(token),
            (Some(Challenge::Bearer(bearer)), _) => {
                let mut scopes = wanted.scopes.clone();
                scopes.add(bearer.scope.as_deref().unwrap_or_default());
                let granted = self.get_token(endpoint, &Wanted { scopes: &scopes, ..*wanted }, &bearer)?;
                if wanted.offline {
                    *unpoisoned(&self.identity) = granted.refresh;
                }
                granted.token
            }
            (Some(Challenge::Basic), Some(Credential::Password { username, password })) => {
                Token::basic(username, password)
            }
            (Some(Challenge::Basic), Some(_)) => return Err(wanted.refused()),
            (Some(Challenge::Basic) | None, _) => {
                return Err(Error::AuthenticationRequired {
                    registry: wanted.registry.to_owned(),
                    what: wanted.what.to_owned(),
                });
            }
        };
        unpoisoned(&self.tokens).insert((place.registry.clone(), wanted.scopes.clone()), token);
        Ok(())
    }
}

/// The maps are whole whoever panicked beside them: each change is one insertion.
fn unpoisoned<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
