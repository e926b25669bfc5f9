//! The content-addressed store and references, leases and locks.
