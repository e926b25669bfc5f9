//! Packages of Debian's other suites, from where this machine has its own.

mod apt;
mod borrow;
mod sources;

pub(crate) use apt::{Apt, files_of};
pub(crate) use borrow::borrow;
pub(crate) use sources::Sources;
