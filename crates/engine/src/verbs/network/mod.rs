//! The verbs of `network`, one file each.

mod connect;
mod create;
mod inspect;
mod inspect_cni;
mod list;
mod reload;
mod remove;

pub use list::NetworkFilter;
