//! From a reference to the places where it may be: the entry whose prefix fits best, its mirrors, its location.

use conex_oci::Reference;

use super::Registries;
use super::document::{Entry, Which};
use crate::endpoint::Place;
use crate::scope::Access;
use crate::{Error, Result};

impl Registries {
    /// Where `reference` is, best first. Mirrors are only read from.
    pub(crate) fn places(&self, reference: &Reference, access: Access) -> Result<Vec<Place>> {
        let name = format!("{}/{}", reference.registry(), reference.repository());
        let Some((entry, length)) = self.entry_of(&reference.to_string())? else {
            return Ok(vec![place(&name, false)?]);
        };
        if entry.blocked {
            return Err(Error::Blocked { name: reference.familiar_name(), prefix: entry.prefix.clone() });
        }
        let mut places = Vec::new();
        if access == Access::Pull {
            let by_digest = reference.digest().is_some();
            for mirror in &entry.mirrors {
                let asked = match mirror.pull_from_mirror {
                    Which::All => true,
                    Which::DigestOnly => by_digest,
                    Which::TagOnly => !by_digest,
                };
                if asked {
                    places.push(place(&rewritten(&name, length, &mirror.location), mirror.insecure)?);
                }
            }
        }
        let own = if entry.location.is_empty() { name } else { rewritten(&name, length, &entry.location) };
        places.push(place(&own, entry.insecure)?);
        Ok(places)
    }

    /// Whether a registry as a whole need not prove anything; an error when it is blocked.
    pub(crate) fn is_insecure(&self, registry: &str) -> Result<bool> {
        let Some((entry, _)) = self.entry_of(registry)? else { return Ok(false) };
        if entry.blocked {
            return Err(Error::Blocked { name: registry.to_owned(), prefix: entry.prefix.clone() });
        }
        Ok(entry.insecure)
    }

    /// The entry with the longest prefix of `name`, and how much of the name that is.
    fn entry_of(&self, name: &str) -> Result<Option<(&Entry, usize)>> {
        let fitting = self.entries()?.iter().filter_map(|entry| Some((entry, fits(&entry.prefix, name)?)));
        // As long a match: the prefix that says more.
        Ok(fitting
            .max_by_key(|(entry, length)| (*length, !entry.prefix.starts_with("*."), entry.prefix.len())))
    }
}

/// How many bytes of `name` the prefix covers, if it does.
fn fits(prefix: &str, name: &str) -> Option<usize> {
    if let Some(domain) = prefix.strip_prefix('*') {
        let host = name.split('/').next().unwrap_or_default();
        let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
        return (bare.len() > domain.len() && bare.ends_with(domain)).then_some(host.len());
    }
    let rest = name.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with(['/', ':', '@'])).then_some(prefix.len())
}

/// `name` with another beginning. A prefix may reach into the tag; what follows the repository is not part of the place.
fn rewritten(name: &str, length: usize, location: &str) -> String {
    format!("{location}{}", name.get(length..).unwrap_or_default())
}

fn place(name: &str, insecure: bool) -> Result<Place> {
    let malformed = || Error::NoRegistry { name: crate::error::clean(name) };
    let (registry, repository) = name.split_once('/').ok_or_else(malformed)?;
    // The grammar of references is what makes a place safe in an address.
    let parsed: Reference = name.parse().map_err(|_| malformed())?;
    if parsed.registry() != registry {
        return Err(malformed());
    }
    Ok(Place { registry: registry.to_owned(), repository: repository.to_owned(), insecure })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registries(text: &str) -> (tempfile::NamedTempFile, Registries) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let registries = Registries::at([file.path().to_owned()]);
        (file, registries)
    }

    fn places(registries: &Registries, name: &str, access: Access) -> Vec<String> {
        let places = registries.places(&name.parse().unwrap(), access).unwrap();
        let mark = |place: &Place| if place.insecure { "!" } else { "" };
        places.iter().map(|place| format!("{}/{}{}", place.registry, place.repository, mark(place))).collect()
    }

    #[test]
    fn the_longest_prefix_counts() {
        let (_file, registries) = registries(
            r#"
            [[registry]]
            prefix = "docker.io"
            location = "registry.example:5000/hub"
            [[registry.mirror]]
            location = "mirror.example/all"
            insecure = true
            [[registry]]
            prefix = "docker.io/library"
            [[registry.mirror]]
            location = "library.example"
            pull-from-mirror = "digest-only"
            [[registry]]
            prefix = "*.inner.example"
            insecure = true
            [[registry]]
            prefix = "db.inner.example/x"
            location = "elsewhere.example/y"
            [[registry]]
            location = "evil.example"
            blocked = true
            "#,
        );
        let pull = |name: &str| places(&registries, name, Access::Pull);
        assert_eq!(
            pull("user/app:1"),
            ["mirror.example/all/user/app!", "registry.example:5000/hub/user/app"]
        );
        assert_eq!(places(&registries, "user/app:1", Access::Push), ["registry.example:5000/hub/user/app"]);
        assert_eq!(pull("alpine"), ["docker.io/library/alpine"]);
        let digest = conex_oci::Digest::of(b"x");
        assert_eq!(pull(&format!("alpine@{digest}")), ["library.example/alpine", "docker.io/library/alpine"]);
        assert_eq!(pull("a.inner.example:5000/x"), ["a.inner.example:5000/x!"]);
        assert_eq!(pull("db.inner.example/x/z"), ["elsewhere.example/y/z"]);
        assert_eq!(pull("db.inner.example/xz"), ["db.inner.example/xz!"]);
        assert_eq!(pull("inner.example/x"), ["inner.example/x"]);
        assert_eq!(pull("evil.example.org/x"), ["evil.example.org/x"]);
        let blocked = registries.places(&"evil.example/x".parse().unwrap(), Access::Pull);
        assert!(matches!(blocked, Err(Error::Blocked { .. })));
        assert!(registries.is_insecure("a.inner.example").unwrap());
        assert!(registries.is_insecure("evil.example").is_err());
    }

    #[test]
    fn a_location_that_makes_no_name_is_an_error() {
        for location in ["no host/x", "UPPER.example/X", "a.example/../b"] {
            let (_file, registries) =
                registries(&format!("[[registry]]\nprefix = \"b.example\"\nlocation = {location:?}"));
            let error = registries.places(&"b.example/x".parse().unwrap(), Access::Pull).unwrap_err();
            assert!(matches!(error, Error::NoRegistry { .. }), "{location}: {error}");
        }
    }
}
