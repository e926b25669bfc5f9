//! One `registries.conf`: text in, entries or a line about what is wrong out.

use serde::Deserialize;

/// What is said of the names that begin with a prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Entry {
    /// `docker.io`, `docker.io/library`, `*.example.com`; the location if it is not said.
    pub(super) prefix: String,
    /// What stands in the prefix's place; nothing where it stays.
    pub(super) location: String,
    pub(super) insecure: bool,
    pub(super) blocked: bool,
    /// Whether mirrors are asked for digests only.
    mirror_by_digest_only: bool,
    #[serde(rename = "mirror")]
    pub(super) mirrors: Vec<Mirror>,
}

/// Somewhere else where the same is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Mirror {
    pub(super) location: String,
    pub(super) insecure: bool,
    pub(super) pull_from_mirror: Which,
}

/// What a mirror is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Which {
    #[default]
    #[serde(alias = "")]
    All,
    DigestOnly,
    TagOnly,
}

/// All of a file that we use.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Document {
    #[serde(rename = "registry", default)]
    pub(super) entries: Vec<Entry>,
    /// Version 1's.
    #[serde(default)]
    registries: Option<toml::Value>,
}

impl Document {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut document: Self = toml::from_str(text).map_err(|error| {
            let line =
                error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            format!("line {line}: {}", crate::error::clean(error.message()))
        })?;
        if document.registries.is_some() {
            return Err("it is in the old version 1 form (write [[registry]] tables)".to_owned());
        }
        for entry in &mut document.entries {
            trim(&mut entry.prefix);
            trim(&mut entry.location);
            if entry.prefix.is_empty() {
                entry.prefix.clone_from(&entry.location);
            }
            if entry.prefix.is_empty() {
                return Err("a [[registry]] has neither a prefix nor a location".to_owned());
            }
            if entry.location.is_empty() && !entry.prefix.starts_with("*.") {
                entry.location.clone_from(&entry.prefix);
            }
            if entry.prefix.strip_prefix("*.").unwrap_or(&entry.prefix).contains('*') {
                return Err(format!("prefix {:?}: a star stands only at its beginning", entry.prefix));
            }
            for mirror in &mut entry.mirrors {
                trim(&mut mirror.location);
                if mirror.location.is_empty() {
                    return Err(format!("a mirror of {:?} has no location", entry.prefix));
                }
                if entry.mirror_by_digest_only {
                    mirror.pull_from_mirror = Which::DigestOnly;
                }
            }
        }
        Ok(document)
    }
}

fn trim(text: &mut String) {
    let trimmed = text.trim().trim_end_matches('/').to_owned();
    *text = trimmed;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_own_example() {
        let document = Document::parse(
            r#"
            unqualified-search-registries = ["example.com"]
            short-name-mode = "enforcing"
            [aliases]
            "x" = "docker.io/library/x"
            [[registry]]
            prefix = "example.com/foo"
            insecure = false
            blocked = false
            location = "internal-registry-for-example.com/bar"
            [[registry.mirror]]
            location = "example-mirror-0.local/mirror-for-foo"
            [[registry.mirror]]
            location = "example-mirror-1.local/mirrors/foo/"
            insecure = true
            pull-from-mirror = "digest-only"
            [[registry]]
            location = "blocked.example"
            blocked = true
            "#,
        )
        .unwrap();
        assert_eq!(document.entries[0].location, "internal-registry-for-example.com/bar");
        assert_eq!(document.entries[0].mirrors.len(), 2);
        assert_eq!(document.entries[0].mirrors[1].location, "example-mirror-1.local/mirrors/foo");
        assert_eq!(document.entries[0].mirrors[1].pull_from_mirror, Which::DigestOnly);
        assert!(document.entries[1].prefix == "blocked.example" && document.entries[1].blocked);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, words) in [
            ("a = 1\nb = [", "line 2: "),
            ("[registries.search]\nregistries = [\"x\"]", "version 1"),
            ("[[registry]]\ninsecure = true", "neither a prefix nor a location"),
            ("[[registry]]\nprefix = \"a.*.b\"", "a star"),
            ("[[registry]]\nlocation = \"x\"\n[[registry.mirror]]\ninsecure = true", "no location"),
            ("[[registry]]\nlocation = \"x\"\nblocked = \"yes\"", "line 3: "),
        ] {
            let error = Document::parse(text).unwrap_err();
            assert!(error.contains(words) && !error.contains('\n'), "{text}: {error}");
        }
        assert!(Document::parse("").unwrap().entries.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_text_ends(text in "(?s).{0,200}") {
            let _ = Document::parse(&text);
        }
    }
}
