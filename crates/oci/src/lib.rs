//! The vocabulary that every other crate speaks: digests, descriptors, references, platforms, container ids,
//! and the documents of the OCI image and runtime specifications.
//!
//! This crate is pure: bytes in, values or an error out. It never touches a file, a socket or a process.
//! Each kind of hash and id has a type of its own, so that a [`DiffId`] never passes for a [`Digest`].

mod descriptor;
mod digest;
mod id;
pub mod image;
mod name;
mod platform;
mod reference;
pub mod runtime;
pub mod size;

pub use descriptor::{Descriptor, media_type};
pub use digest::{ChainId, DiffId, Digest, DigestError, Hasher};
pub use id::{ContainerId, ContainerName, IdError};
pub use name::{is_id, is_name};
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError, Selector};
