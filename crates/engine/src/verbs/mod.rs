//! The verbs, one file each; every one is a method of [`Engine`](crate::Engine).
//!
//! A verb reads the container's record and state, acts, and returns. It never prints and never decides an exit code.

mod at_once;
mod attach;
mod boot;
mod changes;
mod check;
mod commit;
mod copy;
mod create;
mod debug;
mod enter;
mod exec;
mod health;
mod info;
mod inspect;
mod inspect_host;
mod inspect_mounts;
mod inspect_network;
mod join;
mod list;
mod list_filter;
mod list_images;
mod logs;
mod network;
mod pod;
mod prune;
mod remove;
mod rename;
mod start;
pub(crate) mod stats;
mod stop;
mod top;
mod update;
mod usage;
mod users;
mod volume;
mod wait;

pub(crate) use exec::{Note, Running, hold};
pub(crate) use start::{PATIENCE, PAUSE};

pub use attach::AttachOptions;
pub use commit::CommitOptions;
pub use debug::{DebugOptions, Debugger};
pub use enter::{EnterOptions, EnterWorkdir, Spaces};
pub use exec::ExecOptions;
pub use list::ContainerSummary;
pub use list_filter::ListFilter;
pub use logs::{LogLine, LogStream, LogsQuery};
pub use network::NetworkFilter;
pub(crate) use pod::stop_if_left;
pub use pod::{PodChosen, PodFilter, PodState, PodSummary};
pub use prune::PrunedContainers;
pub use remove::RemoveOptions;
pub use start::StartMode;
pub use stop::Grace;
pub use top::Top;
pub use usage::SystemUsage;
pub use volume::{PrunedVolumes, VolumeFilter, VolumeSummary};
pub use wait::WaitCondition;
