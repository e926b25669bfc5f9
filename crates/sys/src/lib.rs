//! The kernel's edge.
