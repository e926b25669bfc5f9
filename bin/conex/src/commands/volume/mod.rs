//! `volume`: data that outlive containers.

mod create;
mod exists;
mod export;
mod import;
mod inspect;
mod list;
mod prune;
mod remove;

pub(super) use create::VERB as CREATE;
pub(super) use exists::VERB as EXISTS;
pub(super) use export::VERB as EXPORT;
pub(super) use import::VERB as IMPORT;
pub(super) use inspect::VERB as INSPECT;
pub(super) use list::{COLUMNS, VERB as LIST, row};
pub(super) use prune::{VERB as PRUNE, volumes};
pub(super) use remove::VERB as REMOVE;
