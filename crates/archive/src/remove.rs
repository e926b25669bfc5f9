//! Skeleton.
use std::ffi::OsStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

/// Why a tree could not be removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}: {source}", path.display())]
pub struct RemoveError {
    /// The step that failed.
    pub what: &'static str,
    /// Where, below the directory that was given.
    pub path: PathBuf,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// Removes `name` in the directory `parent` and everything below it, whatever it is; nothing there is success.
pub fn remove_tree(_parent: BorrowedFd<'_>, _name: &OsStr) -> Result<(), RemoveError> {
    todo!()
}
