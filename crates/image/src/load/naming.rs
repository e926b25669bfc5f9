//! What an image in an `index.json` is called.
//!
//! containerd's and Docker's annotation holds the whole name and is believed. The OCI one
//! (`org.opencontainers.image.ref.name`) may hold a whole name (podman, skopeo), a repository or only a tag: one with a `/`
//! or `:` is a name. A single word that the file's own name starts with is a repository (`alpine` in `alpine.tar`); any
//! other is a tag, and the file's name the repository: `3.20` in `alpine-3.20.oci.tar` is `alpine:3.20`. On standard input
//! there is no file name: then a word that looks like a version names nothing, any other is a repository.

use std::path::Path;

use conex_content::REF_NAME;
use conex_oci::{Descriptor, Reference};

pub(super) const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// The entry's names: none or one, as things are.
pub(super) fn names(entry: &Descriptor, stem: Option<&str>) -> Vec<Reference> {
    let full = entry.annotation(CONTAINERD_NAME).and_then(|text| text.parse().ok());
    full.or_else(|| from_ref_name(entry.annotation(REF_NAME)?, stem)).into_iter().collect()
}

fn from_ref_name(word: &str, stem: Option<&str>) -> Option<Reference> {
    if word.contains(['/', ':', '@']) {
        return word.parse().ok();
    }
    let version = word == "latest" || word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
    let Some(stem) = stem else {
        return if version { None } else { word.parse().ok() };
    };
    let after = stem.strip_prefix(word);
    if after.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric())) {
        return word.parse().ok();
    }
    let repository = stem.strip_suffix(word).map_or(stem, |rest| rest.trim_end_matches(['-', '_', '.', ':']));
    format!("{repository}:{word}").parse().ok()
}

/// A file's name without directories and the usual endings, in lower case.
pub(super) fn stem(path: &Path) -> Option<String> {
    let mut stem = path.file_name()?.to_str()?.to_lowercase();
    let endings = [".gz", ".tgz", ".zst", ".tar", ".oci", ".oci-archive", ".docker", ".docker-archive"];
    while let Some(shorter) = endings.iter().find_map(|ending| stem.strip_suffix(ending)) {
        stem = shorter.to_owned();
    }
    (!stem.is_empty()).then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use conex_oci::{Digest, media_type};
    use std::collections::BTreeMap;

    fn name(annotations: &[(&str, &str)], path: Option<&str>) -> Option<String> {
        let mut entry = Descriptor::new(media_type::MANIFEST, Digest::of(b""), 0);
        let annotations = annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        entry.annotations = Some(annotations.collect::<BTreeMap<_, _>>());
        let stem = path.and_then(|path| stem(Path::new(path)));
        names(&entry, stem.as_deref()).first().map(Reference::familiar)
    }

    #[test]
    fn names_as_people_expect_them() {
        for (word, path, expected) in [
            ("3.20", Some("/x/alpine-3.20.oci.tar"), Some("alpine:3.20")),
            ("latest", Some("alpine.tar"), Some("alpine:latest")),
            ("alpine", Some("alpine.tar.gz"), Some("alpine:latest")),
            ("alpine", Some("Alpine-3.20.tar"), Some("alpine:latest")),
            ("edge", Some("alpine.tar"), Some("alpine:edge")),
            ("docker.io/library/busybox:1", Some("x.tar"), Some("busybox:1")),
            ("busybox:1", None, Some("busybox:1")),
            ("3.20", None, None),
            ("latest", None, None),
            ("alpine", None, Some("alpine:latest")),
            ("3.20", Some("Ünfit.tar"), None),
            ("..", Some("alpine.tar"), None),
            ("x", Some(".tar"), Some("x:latest")),
        ] {
            assert_eq!(name(&[(REF_NAME, word)], path).as_deref(), expected, "{word} in {path:?}");
        }
        let both = [(REF_NAME, "3.20"), (CONTAINERD_NAME, "docker.io/library/alpine:3.20")];
        assert_eq!(name(&both, None).as_deref(), Some("alpine:3.20"));
    }
}
