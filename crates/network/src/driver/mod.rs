//! Drivers: a network's device on the host, and a container's device on it.

mod bridge;
mod host;
mod wire;

pub use self::host::routes_of_the_host;
pub use self::wire::Wire;
