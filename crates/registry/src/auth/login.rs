//! `login` and `logout`: a credential is shown to its registry before it is kept.

use ureq::http::Method;

use super::{Credential, Kept, Secret};
use crate::request::{Ask, Target};
use crate::scope::Access;
use crate::{Client, Error, Result};

/// How a login ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    /// Where the credential is kept.
    pub kept: Kept,
}

/// How a logout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedOut {
    /// What was kept is forgotten.
    Removed,
    /// Nothing was kept.
    NotLoggedIn,
}

impl Client {
    /// Shows the credential to the registry and, if it is taken, keeps it as [`crate::Options::credentials`] says. A
    /// registry that gives an identity token for the password has that kept in its place, as Docker does.
    pub fn login(&self, registry: &str, credential: &Credential) -> Result<LoggedIn> {
        let sound = match credential {
            Credential::Password { username, password } => {
                !username.is_empty()
                    && !username.contains(|c: char| c == ':' || c.is_control())
                    && password.is_sound()
            }
            Credential::IdentityToken { token, .. } | Credential::RegistryToken(token) => token.is_sound(),
        };
        if !sound {
            return Err(Error::MalformedCredential);
        }
        let identity = self.verify(registry, credential)?;
        let kept = match (identity, credential.username()) {
            (Some(token), Some(username)) => {
                let identity = Credential::IdentityToken { username: username.to_owned(), token };
                self.options.credentials.store(registry, &identity)?
            }
            _ => self.options.credentials.store(registry, credential)?,
        };
        Ok(LoggedIn { kept })
    }

    /// Whether the registry takes the credential; with the identity token that it gives for it.
    fn verify(&self, registry: &str, credential: &Credential) -> Result<Option<Secret>> {
        self.use_credential(registry, credential.clone());
        let what = format!("a login as {}", credential.username().unwrap_or("the owner of a token"));
        let ask = Ask { access: Access::None, offline: true, ..Ask::new(&what, Method::GET, Target::Root) };
        let place = self.options.place_of(registry)?;
        let answer = self.ask_at(&place, &ask)?;
        crate::answer::drain(answer.response);
        Ok(self.take_identity())
    }

    /// Forgets the registry's credentials.
    pub fn logout(&self, registry: &str) -> Result<LoggedOut> {
        let erased = self.options.credentials.erase(registry)?;
        Ok(if erased { LoggedOut::Removed } else { LoggedOut::NotLoggedIn })
    }
}
