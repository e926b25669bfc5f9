//! Containers: create, start, supervise, exec, stop, remove.
//!
//! There is no daemon. [`Engine`] is a handle on two directories; every verb is a function call in the caller's own
//! process, and what outlives the call is one small supervisor process a container (see [`supervise`]) and plain
//! files (see [`store`], which also says why a SIGKILL at any moment leaves no wrong answer behind).
//!
//! The caller must be single-threaded when it calls [`Engine::start`], [`Engine::restart`] or [`Engine::exec`]:
//! those fork.

#![recursion_limit = "256"] // for the long documents of inspect and info

pub mod attach;
mod copy;
mod devices;
mod engine;
mod error;
pub mod events;
pub mod filter;
pub mod health;
mod idmap;
pub mod log;
pub mod network;
pub mod options;
pub mod rootless;
pub mod spec;
pub mod stats {
    //! What containers use.

    pub use crate::verbs::stats::*;
}
pub mod store;
pub mod supervise;
pub mod time;
pub mod verbs;
pub mod volumes;

pub use attach::{Attachment, Event};
pub use conex_cdi as cdi;
pub use conex_runtime::program::find as find_program;
pub use copy::{Copied, CopyError, CopyFrom, CopyOptions, CopyTo};
pub use engine::{Engine, Paths};
pub use error::{Error, Failure, ProgramFault, Result};
pub use options::{CreateOptions, Made};
pub use verbs::{
    AttachOptions, CommitOptions, ContainerSummary, DebugOptions, Debugger, EnterOptions, EnterWorkdir,
    ExecOptions, Grace, ListFilter, LogLine, LogStream, LogsQuery, NetworkFilter, PodChosen, PodFilter,
    PodState, PodSummary, PrunedContainers, PrunedVolumes, RemoveOptions, Spaces, StartMode, SystemUsage,
    Top, VolumeFilter, VolumeSummary, WaitCondition,
};
