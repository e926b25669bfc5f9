//! The kernel's edge: the only crate with `unsafe`, a thin typed layer over calls that `rustix` does not have.
//!
//! A call takes and gives file descriptors (`BorrowedFd`, `OwnedFd`) and `Result`; none keeps state, logs or retries.
//! What `rustix` offers safely is used from there directly and not wrapped again here.

pub mod allocator;
pub mod bpf;
pub mod descriptors;
pub mod entry;
pub mod file_owner;
pub mod idle;
pub mod launch;
pub mod loop_device;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod network;
pub mod process;
pub mod quota;
pub mod range_lock;
pub mod scheduling;
pub mod seccomp;
pub mod signal;
pub mod verity;
