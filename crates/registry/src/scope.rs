//! What a token shall allow: `repository:NAME:pull,push` (distribution's token scope specification).

use std::collections::{BTreeMap, BTreeSet};

/// What is done in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: the registry itself is asked.
    None,
    /// Read.
    Pull,
    /// Read and write.
    Push,
    /// Remove.
    Delete,
}

impl Access {
    fn actions(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Pull => "pull",
            Self::Push => "pull,push",
            Self::Delete => "delete",
        }
    }
}

/// Scopes: actions by resource (`repository:library/alpine`), each once, in order: the key of a token that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Scopes(BTreeMap<String, BTreeSet<String>>);

impl Scopes {
    /// `access` to a repository.
    pub(crate) fn of(repository: &str, access: Access) -> Self {
        let mut scopes = Self::default();
        scopes.allow(repository, access);
        scopes
    }

    /// Adds `access` to a repository.
    pub(crate) fn allow(&mut self, repository: &str, access: Access) {
        if access != Access::None {
            self.add(&format!("repository:{repository}:{}", access.actions()));
        }
    }

    /// Adds what a challenge asks for: words of `type:name:action,action`. Anything else is passed over.
    pub(crate) fn add(&mut self, text: &str) {
        for word in text.split_ascii_whitespace() {
            let Some((resource, actions)) = word.rsplit_once(':') else { continue };
            if !resource.contains(':') || self.0.len() >= 16 && !self.0.contains_key(resource) {
                continue;
            }
            let known = self.0.entry(resource.to_owned()).or_default();
            known.extend(actions.split(',').filter(|action| !action.is_empty()).take(8).map(str::to_owned));
        }
    }

    /// As the server of tokens reads them, one a resource.
    pub(crate) fn words(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(resource, actions)| {
            let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
            format!("{resource}:{}", actions.join(","))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_join() {
        let mut scopes = Scopes::of("a/b", Access::Push);
        scopes.allow("c", Access::Pull);
        scopes.add("repository:a/b:pull registry:catalog:* nonsense repository:host:5000/x:pull");
        assert_eq!(
            scopes.words().collect::<Vec<_>>(),
            [
                "registry:catalog:*",
                "repository:a/b:pull,push",
                "repository:c:pull",
                "repository:host:5000/x:pull"
            ]
        );
        assert_eq!(Scopes::of("a", Access::None), Scopes::default());
    }
}
