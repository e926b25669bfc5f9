//! `network`: what connects containers.

mod connect;
mod create;
mod inspect;
mod list;
mod prune;
mod reload;
mod remove;

pub(super) use connect::{CONNECT, DISCONNECT};
pub(super) use create::VERB as CREATE;
pub(super) use inspect::VERB as INSPECT;
pub(super) use list::VERB as LIST;
pub(super) use prune::VERB as PRUNE;
pub(super) use reload::VERB as RELOAD;
pub(super) use remove::VERB as REMOVE;
