//! The supervisor: one small process a container, its parent from the first instruction to the last.
//!
//! The command forks it before anything heavy is done (`spawn`); it starts the container (`launch`), says so over the
//! socket pair that the command kept, and from then on turns (`streams`): output to the log and to the clients, input
//! to the container, requests of other commands over `sock`, and the end. It records the end, applies the restart policy,
//! removes a `--rm` container, and is gone. The command is a client like any other: killing it ends nothing.
//!
//! It never reads what is not there for it, allocates no more than a chunk a direction, and trusts no client's frames.

mod answer;
mod between;
mod client;
mod container;
mod ending;
mod ends;
mod exec;
mod health;
mod hooks;
mod launch;
mod notify;
mod noting;
mod probe;
mod restart;
mod running;
mod spawn;
mod streams;
pub(crate) mod update;
pub mod wire;

pub(crate) use container::{First, code, supervise};
pub(crate) use exec::{ExecJob, supervise_exec};
pub(crate) use launch::{Job, start_ticks};
pub(crate) use notify::clear as clear_notices;
pub(crate) use spawn::spawn_apart;
