//! Debian packages, from where this machine has its own: of other suites, and as images.

mod apt;
mod bootstrap;
mod borrow;
pub(crate) mod image;
pub(crate) mod services;
mod sources;

pub(crate) use apt::{Apt, files_of};
pub(crate) use borrow::borrow;
pub(crate) use sources::Sources;
