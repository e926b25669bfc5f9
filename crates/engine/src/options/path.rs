//! Paths on the host and in the container, judged by their text alone.

use std::path::{Component, Path, PathBuf};

use super::OptionError;

/// A host path for `-v`: absolute, or relative with a leading dot; a bare word is a volume's name.
pub(super) fn source_path(what: &'static str, text: &str, source: &str) -> Result<PathBuf, OptionError> {
    let first = source.split('/').next().unwrap_or_default();
    if source.starts_with('/') || matches!(first, "." | "..") {
        return host_path(what, text, source);
    }
    Err(OptionError::syntax(what, text, "expected a host path (absolute, or with ./)"))
}

pub(super) fn host_path(what: &'static str, text: &str, source: &str) -> Result<PathBuf, OptionError> {
    if source.contains('\0') {
        return Err(OptionError::syntax(what, text, "a path holds no NUL"));
    }
    Ok(if source.starts_with('/') { clean(Path::new(source)) } else { PathBuf::from(source) })
}

/// A path in the container: absolute, not the root, with `.` and `..` removed.
pub(super) fn target_path(what: &'static str, text: &str, place: &str) -> Result<PathBuf, OptionError> {
    if !place.starts_with('/') {
        return Err(OptionError::syntax(what, text, "the path in the container must be absolute"));
    }
    if place.contains('\0') {
        return Err(OptionError::syntax(what, text, "a path holds no NUL"));
    }
    let place = clean(Path::new(place));
    if place == Path::new("/") {
        return Err(OptionError::syntax(what, text, "the path in the container must not be \"/\""));
    }
    Ok(place)
}

/// An absolute path without `.`, `..` and doubled slashes, by its text alone (Go's `path.Clean`).
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (path, cleaned) in [("/a/../b", "/b"), ("/..", "/"), ("//a/./b/", "/a/b"), ("a", "/a"), ("", "/")]
        {
            assert_eq!(clean(Path::new(path)), Path::new(cleaned), "{path}");
        }
    }
}
