//! Reading small files below a root, which is `/` but for tests.

use std::path::{Path, PathBuf};

/// Where `/proc` and `/sys` are.
pub(crate) struct Root(PathBuf);

impl Root {
    /// The real one.
    pub(crate) fn real() -> Self {
        Self(PathBuf::from("/"))
    }

    /// One with the same files in it.
    #[cfg(test)]
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// A whole file; `None` when it cannot be read, for whatever reason.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        let bytes = std::fs::read(self.path(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The first line of a file, if it says anything.
    pub(crate) fn line(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = self.read(path)?;
        let line = text.lines().next()?.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        (!line.is_empty()).then(|| line.to_owned())
    }

    /// Where a symlink points.
    pub(crate) fn link(&self, path: impl AsRef<Path>) -> Option<String> {
        Some(std::fs::read_link(self.path(path)).ok()?.to_string_lossy().into_owned())
    }

    /// A leading slash is this root's.
    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path.as_ref().strip_prefix("/").unwrap_or(path.as_ref()))
    }
}
