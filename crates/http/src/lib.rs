//! As much of HTTP/1.1 as our servers need (RFC 9112): heads, bodies with a length or in chunks, files as answers, and the
//! listening. Whatever is ambiguous about where a message ends is refused, since a proxy in front may read it otherwise.
//!
//! What is sent is hostile: heads, bodies, connections and the time for each are bounded. One thread a connection; no async
//! runtime, no TLS (docs/adr/0018-a-blocking-registry-server.md). A [`Handler`] answers, a [`Server`] listens for it.

mod body;
mod head;
mod pace;
mod response;
mod server;

pub use body::Body;
pub use head::Head;
pub(crate) use head::{Framing, read as read_head};
pub use response::{Payload, Response};
pub use server::{Handler, Server};

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It is gone, or too slow to wait for.
    Gone(std::io::Error),
    /// What came is no request that we take; a status says so before the connection closes.
    Refused(u16, &'static str),
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Gone(error)
    }
}
