//! Why no spec can be made of what was asked.

use std::path::PathBuf;

/// Each is one line.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// Neither the user nor the image names a program.
    #[error("no command specified: the image has none, so give one after the image")]
    NoCommand,
    /// `exec` of nothing.
    #[error("no command specified: it is an empty text")]
    EmptyCommand,
    /// A user that the image's /etc/passwd does not have.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    NoUser(String),
    /// A group that the image's /etc/group does not have.
    #[error("unable to find group {0}: no matching entries in group file")]
    NoGroup(String),
    /// An id outside 0 to 2^31-1.
    #[error("user and group ids must be in the range 0-2147483647: {0}")]
    IdRange(String),
    /// One that the container's user namespace has not.
    #[error("invalid user {id}: the container's user namespace maps 0 to {}; take --userns host for others", size - 1)]
    UnmappedUser {
        /// A user's or a group's.
        id: u32,
        /// How many it has.
        size: u32,
    },
    /// The image's passwd or group cannot be read.
    #[error("cannot read {} of the image: {source}", path.display())]
    ImageFile {
        /// Within the image.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An option's value that only now turns out wrong.
    #[error("invalid {what} {text:?}: {why}")]
    Invalid {
        /// The option, or the image's field.
        what: &'static str,
        /// The value.
        text: String,
        /// What was wrong.
        why: String,
    },
    /// Something of the host that an option needs.
    #[error("{what} {}: {source}", path.display())]
    HostFile {
        /// What it is for.
        what: &'static str,
        /// On the host.
        path: PathBuf,
        /// Why it cannot be used.
        #[source]
        source: std::io::Error,
    },
    /// The kernel or the machine has not what an option needs.
    #[error("{option} cannot be used here: {why}")]
    Unavailable {
        /// The option with its value.
        option: String,
        /// What is missing.
        why: String,
    },
    /// Options that exclude each other once the host or another container is known.
    #[error("conflicting options: {0}")]
    Conflict(String),
    /// The container whose namespace is to be joined.
    #[error("cannot join {option}: {why}")]
    Join {
        /// `--ipc container:web`
        option: String,
        /// Why not.
        why: &'static str,
    },
    /// No range of ids is left for another user namespace.
    #[error("no range of {0} free host ids is left for a user namespace")]
    NoIdRange(u32),
    /// The seccomp profile.
    #[error("--security-opt seccomp: the profile cannot be used: {0}")]
    Seccomp(#[source] conex_seccomp::Error),
}
