//! Names of containers, resolved by one small process for all networks of a RUN directory.
//!
//! A container's resolver asks 127.0.0.11. The sockets there are made inside the container's network namespace by its supervisor
//! ([`Sockets::open`]), which hands them over ([`register`]) with what the container is called and where ([`Registration`]). So the
//! server knows by the socket who asks, answers with what that one shares networks with, and nothing listens on the host. What is
//! no container's name goes to the host's name servers, from the host's namespace.
//!
//! The connection over which a container was registered stays open for as long as it runs: its end is the end of the names. The
//! process that serves ([`serve`]) is started by the first who finds none, and ends a second after the last.
//!
//! Whatever comes from a container or a name server is hostile: nothing of it is trusted beyond its bounds, nothing waits for it.
//!
//! ```text
//! RUN/dns/sock     where the server listens (SOCK_SEQPACKET, for root)
//! RUN/dns/.lock    held (flock) by who starts a server, and by a server that ends
//! ```

mod client;
mod directory;
mod message;
mod registration;
mod server;
mod upstream;

pub use client::{ADDRESS, PORT, Sockets, reach, register, update};
pub use message::{Asked, Query, Refusal, Reply, answer, is_answer_to, read_query};
pub use registration::{Membership, Registration};
pub use server::serve;
