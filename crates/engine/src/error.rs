//! What can go wrong, one variant an operation. Exit codes and hints are decided in `bin/conex`, from [`Error::failure`].

use std::io;
use std::path::PathBuf;

use conex_oci::ContainerId;
use serde::{Deserialize, Serialize};

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a start failed, as exit codes see it; survives the way from the supervisor's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The engine's or the host's doing: 125.
    Engine,
    /// The program cannot be executed: 126.
    NotExecutable,
    /// The program is not there: 127.
    NotFound,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Docker's words.
    #[error("No such container: {name}")]
    NoSuchContainer {
        /// What the user typed.
        name: String,
    },
    /// A prefix of several ids.
    #[error("multiple containers have an id that starts with {prefix:?}; give more of it")]
    Ambiguous {
        /// What the user typed.
        prefix: String,
    },
    /// Docker's words.
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{id}\". You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameInUse {
        /// The name.
        name: String,
        /// Who has it.
        id: ContainerId,
    },
    /// An operation that needs a running container.
    #[error("container {name} is not running")]
    NotRunning {
        /// The container as shown to people.
        name: String,
    },
    /// An operation that a paused container does not take.
    #[error("container {name} is paused; unpause it first")]
    Paused {
        /// The container as shown to people.
        name: String,
    },
    /// `unpause` of one that is not paused.
    #[error("container {name} is not paused")]
    NotPaused {
        /// The container as shown to people.
        name: String,
    },
    /// `rm` of a running one, without force.
    #[error(
        "cannot remove container \"{name}\": container is running: stop the container before removing or force remove"
    )]
    RemoveRunning {
        /// The container as shown to people.
        name: String,
    },
    /// The container's process could not be started; told by the supervisor.
    #[error("{message}")]
    Start {
        /// As exit codes see it.
        failure: Failure,
        /// One line.
        message: String,
    },
    /// A directory of the store that cannot be made.
    #[error("cannot make directory {}: {source}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// How an exit code sees it.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Start { failure, .. } => *failure,
            _ => Failure::Engine,
        }
    }
}
