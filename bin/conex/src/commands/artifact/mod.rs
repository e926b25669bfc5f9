//! `artifact`: any files in a registry, and what is attached to an image.

mod list;
mod pull;
mod push;

pub(super) use list::VERB as LIST;
pub(super) use pull::VERB as PULL;
pub(super) use push::VERB as PUSH;
