//! The kernel's edge.

pub mod seccomp;
