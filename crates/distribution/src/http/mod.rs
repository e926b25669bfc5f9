//! As much of HTTP/1.1 as a registry needs (RFC 9112): heads, bodies with a length or in chunks, files as answers. Whatever is
//! ambiguous about where a message ends is refused, since a proxy in front may read it otherwise.

mod body;
mod head;
mod pace;
mod response;

pub(crate) use body::Body;
pub(crate) use head::{Framing, Head, read as read_head};
pub(crate) use response::{Payload, Response};

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
