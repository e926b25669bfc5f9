//! Images: load, save, pull, push, unpack, history; layers and the root filesystems made of them.
//!
//! A [`Store`] joins the content store (blobs, references) with the layer store (unpacked, mountable layers). An
//! [`Image`] is one platform's manifest and configuration, already chosen out of an index. This crate never starts a
//! process, mounts nothing into the host's mount namespace but images below the run directory ([`layers::Merged`]) and what
//! [`Store::mount`] is asked to, and leaves no thread behind when a call returns.

mod assemble;
mod check;
mod collect;
pub mod configure;
pub mod contents;
mod error;
mod history;
mod image;
mod import;
mod inspect;
pub mod layers;
mod list;
mod load;
mod mount;
mod pattern;
mod progress;
mod prune;
mod pull;
mod push;
mod remove;
mod resolve;
pub mod rootfs;
mod save;
mod select;
mod store;
mod tag;
mod unpack;
mod usage;
mod verify;
mod view;
pub mod writable;

pub use assemble::{LayerSink, NewImage, NewLayer};
pub use check::{
    CheckOptions, Cure, Fault as CheckFault, Finding, Outcome, Report, Subject, Tenant, Tenants,
};
pub use collect::Collected;
pub use error::{Error, Result};
pub use history::HistoryRow;
pub use image::Image;
pub use import::ImportOptions;
pub use list::{Filter, Summary};
pub use load::{LoadOptions, Loaded, Refusal as LoadRefusal, Source};
pub use mount::Mounted;
pub use progress::{Progress, Silent, State};
pub use prune::{Left, PruneFilter, PruneOptions, Pruned, Users};
pub use pull::{Pulled, Refusal};
pub use push::{PushRefusal, Pushed};
pub use remove::{Conflict, Removed, Usage};
pub use save::{Compression, Format, SaveOptions};
pub use store::Store;
pub use usage::{DiskUsage, ImageUsage};
pub use verify::{Fault, Verified};
pub use view::View;
