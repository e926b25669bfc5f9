//! Debian packages, from where this machine has its own: of other suites, and as an image.

mod apt;
mod borrow;
pub(crate) mod image;
mod sources;

pub(crate) use apt::{Apt, files_of};
pub(crate) use borrow::borrow;
pub(crate) use sources::Sources;
