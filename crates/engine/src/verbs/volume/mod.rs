//! `volume`: data that outlive containers.

mod create;
mod list;
mod remove;
mod transfer;

pub use list::{VolumeFilter, VolumeSummary};
pub use remove::PrunedVolumes;
