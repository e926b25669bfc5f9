//! Why a command fails, in the words that runc's callers look for, and its exit status.

use std::fmt;
use std::io;
use std::path::PathBuf;

use conex_runtime::bundle::BundleError;
use conex_runtime::state::StateError;

/// A failed command.
#[derive(Debug)]
pub(crate) enum Error {
    /// The record.
    State(StateError),
    /// The bundle.
    Bundle(BundleError),
    /// The groups.
    Cgroup(conex_cgroup::Error),
    /// The process.
    Runtime(conex_runtime::Error),
    /// What was asked for cannot be done.
    Refused(String),
    /// A call failed.
    Io { what: &'static str, on: PathBuf, source: io::Error },
    /// `create`, `run` or `exec` failed, which says so first; exec has an exit status of its own for that.
    Verb { name: &'static str, status: i32, source: Box<Error> },
}

impl Error {
    pub(crate) fn io(what: &'static str, on: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::Io { what, on: on.into(), source: source.into() }
    }

    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }

    pub(crate) fn of(name: &'static str, status: i32) -> impl FnOnce(Self) -> Self {
        move |source| Self::Verb { name, status, source: Box::new(source) }
    }

    pub(crate) fn exit_status(&self) -> i32 {
        match self {
            Self::Verb { status, .. } => *status,
            _ => 1,
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::State(StateError::NotFound { .. }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use conex_runtime::Error::{NotExecutable, NotFound};
        let text = match self {
            Self::State(error) => error.to_string(),
            Self::Bundle(error) => error.to_string(),
            Self::Cgroup(error) => error.to_string(),
            Self::Runtime(NotFound { program, in_path: true }) => {
                format!(
                    "unable to start container process: exec: {program:?}: executable file not found in $PATH"
                )
            }
            Self::Runtime(NotFound { program, in_path: false }) => {
                format!("unable to start container process: exec: {program:?}: no such file or directory")
            }
            Self::Runtime(NotExecutable { program, errno }) => {
                format!("unable to start container process: exec: {program:?}: {errno}")
            }
            Self::Runtime(error) => format!("unable to start container process: {error}"),
            Self::Refused(why) => why.clone(),
            Self::Io { what, on, source } => format!("cannot {what} {}: {source}", on.display()),
            Self::Verb { name, source, .. } => format!("{name} failed: {source}"),
        };
        f.write_str(&shortened(&as_go(&text)))
    }
}

/// A line that can be read, whatever a document's strings were like: its beginning and its end, which has the reason.
fn shortened(text: &str) -> String {
    const LIMIT: usize = 1000;
    if text.len() <= LIMIT {
        return text.to_owned();
    }
    let boundary = |mut at: usize| {
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let beginning = boundary(LIMIT / 2);
    let end = boundary(text.len() - LIMIT / 2);
    format!("{}…{}", &text[..beginning], &text[end..])
}

/// The kernel's reasons as Go writes them (`permission denied`, not `Permission denied (os error 13)`): callers tell exit
/// status 126 from 127 by them.
fn as_go(text: &str) -> String {
    const MARK: &str = " (os error ";
    let mut go = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(MARK) {
        let after = &rest[at + MARK.len()..];
        let number = after.split(')').next().and_then(|number| number.parse::<i32>().ok());
        let reason = number.map(|number| io::Error::from_raw_os_error(number).to_string());
        let reason = reason.as_deref().and_then(|reason| reason.split(MARK).next()).unwrap_or_default();
        match rest[..at].strip_suffix(reason) {
            Some(before) => {
                go.push_str(before);
                go.push_str(&reason.to_ascii_lowercase());
            }
            None => go.push_str(&rest[..at]),
        }
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    go.push_str(rest);
    go
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

impl From<BundleError> for Error {
    fn from(error: BundleError) -> Self {
        Self::Bundle(error)
    }
}

impl From<conex_cgroup::Error> for Error {
    fn from(error: conex_cgroup::Error) -> Self {
        Self::Cgroup(error)
    }
}

impl From<conex_runtime::Error> for Error {
    fn from(error: conex_runtime::Error) -> Self {
        Self::Runtime(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_as_in_go() {
        let text = format!("a: {}; b: {}", io::Error::from_raw_os_error(13), io::Error::from_raw_os_error(2));
        assert_eq!(as_go(&text), "a: permission denied; b: no such file or directory");
        assert_eq!(as_go("Plain (os error x)"), "Plain");
        assert_eq!(as_go("plain"), "plain");
    }

    #[test]
    fn lines_are_not_longer_than_people() {
        let long = format!("begin {} end", "ä".repeat(5000));
        let short = shortened(&long);
        assert!(short.starts_with("begin ") && short.ends_with(" end") && short.len() < 1100);
        assert_eq!(shortened("short"), "short");
    }
}
