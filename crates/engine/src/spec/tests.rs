//! The whole spec for many sets of options.

use std::collections::BTreeMap;
use std::io;

use super::ImageFiles;

/// An image's files in memory.
#[derive(Default)]
pub(super) struct Files(BTreeMap<String, Option<Vec<u8>>>);

impl Files {
    pub(super) fn with(self, path: &str, text: &str) -> Self {
        self.with_bytes(path, text.as_bytes().to_vec())
    }

    pub(super) fn with_bytes(mut self, path: &str, bytes: Vec<u8>) -> Self {
        self.0.insert(path.to_owned(), Some(bytes));
        self
    }

    pub(super) fn failing(mut self, path: &str) -> Self {
        self.0.insert(path.to_owned(), None);
        self
    }
}

impl ImageFiles for Files {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match self.0.get(path) {
            None => Ok(None),
            Some(Some(bytes)) => Ok(Some(bytes.clone())),
            Some(None) => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
        }
    }
}
