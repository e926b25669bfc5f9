//! Debian packages, from where this machine has its own: of other suites, and as images.

mod apt;
mod bootstrap;
mod borrow;
mod image;
mod kept;
mod services;
mod sources;

pub(crate) use apt::{Apt, files_of};
pub(crate) use borrow::borrow;
pub(crate) use image::PYTHON;
pub(crate) use services::SERVICES;
pub(crate) use sources::Sources;
