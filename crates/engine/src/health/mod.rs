//! Whether what runs in a container works: Docker's health checks.
//!
//! [`Check`] is what is asked and how often, the image's HEALTHCHECK with the user's flags over it, settled when the container is
//! made. [`Health`] is the answer so far, a machine that is given one [`Probe`] after the other. The supervisor runs the probes
//! (see `supervise::health`) and writes the answer to `RUN/containers/ID/health.json`, where anybody reads it.

mod check;
mod state;

pub use check::Check;
pub use state::{Health, HealthStatus, Probe};
