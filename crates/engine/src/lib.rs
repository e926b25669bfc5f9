//! Containers: create, start, supervise, exec, stop, remove.
pub mod options;
