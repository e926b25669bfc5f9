//! The store as a registry: distribution-spec 1.1 over HTTP, straight from the store's blobs and references, so that one
//! machine can feed others.
//!
//! A repository's name means here what it means to somebody who types it: `library/alpine` and `alpine` are Docker Hub's,
//! `registry.example/app` is that registry's. What is pushed is in the store as what it was pushed as.
//!
//! There is no authentication and no TLS: it listens on loopback unless it is told otherwise, and a proxy in front of it adds
//! both. What is sent is hostile: heads, documents, connections and the time for each are bounded; blobs are verified before
//! they have their names. One thread a connection, no more than [`Options::connections`]; no async runtime
//! (docs/adr/0018-a-blocking-registry-server.md).

mod api;
mod blobs;
mod error;
mod holds;
mod manifests;
mod referrers;
mod repository;
mod route;
mod server;
mod tags;
mod uploads;

pub use error::{Error, Result};
pub use server::{Options, Server};
