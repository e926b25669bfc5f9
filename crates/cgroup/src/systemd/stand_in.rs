//! A scope cannot be made empty: systemd wants a process to put into it. The container's own is not there yet, since it is born in
//! the finished group with its limits in force. So a process of ours stands in for it, doing nothing, until it has come.

use conex_sys::idle::Idle;

use crate::error::{Error, Result};

/// The process; it ends when this is dropped, or with the caller.
#[derive(Debug)]
pub(crate) struct StandIn(Idle);

impl StandIn {
    /// Makes it; the caller has one thread, as for clone3.
    pub(crate) fn new() -> Result<Self> {
        Idle::new(0).map(Self).map_err(|source| Error::StandIn { source })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.pid()
    }
}
