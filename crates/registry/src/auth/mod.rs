//! Who we are to a registry: names and secrets, where they are kept, and how they are checked.
//!
//! Docker's `config.json` and containers-auth.json(5) are read alike; credential helpers are asked as Docker asks them.
//! A [`Secret`] never shows itself: no log, no error and no `Debug` holds one, and `request` sends it to the registry
//! that it belongs to and to the server of tokens which that registry names, nobody else.

mod file;
mod helper;
mod login;
mod store;

use std::fmt;

pub use login::{LoggedIn, LoggedOut};
pub use store::{Credentials, Kept, server_of};

/// A password or a token. Not shown, not compared with what a user sees.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the wire and the file that keeps it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What we can show a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A name and a password (RFC 7617).
    Password {
        /// The user's name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A refresh token of the registry's server of tokens (distribution's OAuth2 specification); Docker's name for it.
    IdentityToken {
        /// The user's name; Docker keeps `<token>` where there is none.
        username: String,
        /// The token.
        token: Secret,
    },
    /// A bearer token that the registry takes as it is.
    RegistryToken(Secret),
}

impl Credential {
    /// For messages: the user's name.
    pub fn username(&self) -> Option<&str> {
        match self {
            Self::Password { username, .. } => Some(username),
            Self::IdentityToken { username, .. } => Some(username.as_str()).filter(|name| *name != TOKEN),
            Self::RegistryToken(_) => None,
        }
    }
}

/// The user's name that stands for "the secret is an identity token" with credential helpers.
pub(crate) const TOKEN: &str = "<token>";

/// The value of an `Authorization` header with a password.
pub(crate) fn basic(username: &str, password: &Secret) -> Secret {
    use base64::Engine;
    let pair = format!("{username}:{}", password.reveal());
    Secret(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let credential = Credential::Password { username: "anna".into(), password: Secret::new("hunter2") };
        assert!(!format!("{credential:?}").contains("hunter2"));
        assert_eq!(
            basic("Aladdin", &Secret::new("open sesame")).reveal(),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
    }
}
