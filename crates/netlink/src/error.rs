//! What the kernel refuses, on what, and why in its own words.

use std::io;

/// The result of this crate's calls.
pub type Result<T> = std::result::Result<T, Error>;

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no socket: no such protocol in this kernel, or no right to the namespace.
    #[error("cannot open a netlink socket: {source}")]
    Open {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel refuses.
    #[error("cannot {what}: {source}{}", said(.words))]
    Refused {
        /// The request: `create the device conex0`.
        what: String,
        /// Its number.
        #[source]
        source: io::Error,
        /// What it says of it, if anything (NLMSGERR_ATTR_MSG).
        words: Option<String>,
    },
    /// An answer that is none.
    #[error("cannot {what}: the kernel's answer is malformed")]
    Malformed {
        /// The request.
        what: String,
    },
}

fn said(words: &Option<String>) -> String {
    words.as_ref().map(|words| format!(" ({words})")).unwrap_or_default()
}

impl Error {
    /// The kernel's error number.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Open { source } | Self::Refused { source, .. } => source.raw_os_error(),
            Self::Malformed { .. } => None,
        }
    }

    /// Whether what was to be made is there already.
    pub fn is_there(&self) -> bool {
        self.errno() == Some(rustix::io::Errno::EXIST.raw_os_error())
    }

    /// Whether what was to be changed or removed is not there.
    pub fn is_gone(&self) -> bool {
        let gone = [rustix::io::Errno::NODEV, rustix::io::Errno::NOENT, rustix::io::Errno::SRCH];
        self.errno().is_some_and(|errno| gone.iter().any(|gone| gone.raw_os_error() == errno))
    }

    /// Whether this kernel does not have it at all.
    pub fn is_unsupported(&self) -> bool {
        let unsupported =
            [rustix::io::Errno::OPNOTSUPP, rustix::io::Errno::AFNOSUPPORT, rustix::io::Errno::PROTONOSUPPORT];
        self.errno().is_some_and(|errno| unsupported.iter().any(|one| one.raw_os_error() == errno))
    }
}

/// What was to be removed and is gone already is no error.
///
/// # Errors
/// Any other.
pub fn unless_gone(done: Result<()>) -> Result<()> {
    match done {
        Err(error) if !error.is_gone() => Err(error),
        _ => Ok(()),
    }
}
