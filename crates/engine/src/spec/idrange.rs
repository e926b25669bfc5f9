//! Ranges of host ids for user namespaces: each container has one of its own, so that root in one is nobody in all others.

use serde::{Deserialize, Serialize};

use super::SpecError;

/// Host ids that container ids 0 and up are mapped to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// The host's id of the container's root.
    pub base: u32,
    /// How many.
    pub size: u32,
}

/// The lowest range that is free of those `taken`; the caller holds a lock from reading them until its record is written.
pub fn free_range(_taken: &[IdRange]) -> Result<IdRange, SpecError> {
    todo!()
}
