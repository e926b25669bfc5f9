//! `runtime.md#state`, and what a seccomp agent is sent (`config-linux.md#the-container-process-state`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::constants::constants;

constants! {
    /// Where a container is in its life.
    pub enum Status {
        /// It is being made.
        Creating = "creating",
        /// It waits for `start`.
        Created = "created",
        /// Its program runs.
        Running = "running",
        /// Its processes are frozen; an addition to the specification's four, as other runtimes have.
        Paused = "paused",
        /// Its first process is gone.
        Stopped = "stopped",
    }
}

/// What hooks read on standard input and `state` is based on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The version this document complies with.
    pub oci_version: String,
    /// The container's.
    pub id: String,
    /// Where it is in its life.
    pub status: Status,
    /// Of its first process: as the runtime sees it, or the container, by where the reader is. Zero when there is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pid: u32,
    /// Absolute.
    pub bundle: PathBuf,
    /// The spec's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Sent to `linux.seccomp.listenerPath` along with the notification descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerProcessState {
    /// The version this document complies with.
    pub oci_version: String,
    /// A name for each descriptor sent, in order: [`SECCOMP_FD_NAME`].
    pub fds: Vec<String>,
    /// As the runtime sees it.
    pub pid: u32,
    /// `listenerMetadata`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// The container's.
    pub state: State,
}

/// The name of the notification descriptor in [`ContainerProcessState::fds`].
pub const SECCOMP_FD_NAME: &str = "seccompFd";

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}
