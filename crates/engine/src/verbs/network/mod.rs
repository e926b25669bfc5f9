//! The verbs of `network`, one file each.

mod connect;
mod create;
mod inspect;
mod list;
mod reload;
mod remove;

pub use list::NetworkFilter;
