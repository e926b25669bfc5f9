//! What can go wrong with the server itself. What a client did wrong is told to the client (see `api`).

use std::io;
use std::net::SocketAddr;

/// The result of a server's operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Content(#[from] conex_content::Error),
    /// No connection can be accepted any more.
    #[error("cannot accept connections: {0}")]
    Accept(#[source] io::Error),
}
