//! `generate`: files for other programs.

mod again;
mod systemd;
mod unit;

pub(super) use systemd::SYSTEMD;
