//! How long work tells of itself. The terminal's side lives in the command line.

use conex_oci::Digest;
use conex_registry::Delivery;

/// What is being done to a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its blob comes from a registry.
    Downloading,
    /// Its blob is copied from an archive.
    Loading,
    /// It is unpacked and verified.
    Unpacking,
    /// It is ready.
    Done,
    /// It was here before.
    Exists,
    /// It is to be sent to a registry.
    Waiting,
    /// It is being sent.
    Pushing,
}

/// Told of progress, from several threads at once; must be quick.
pub trait Progress: Sync {
    /// A layer (the digest of its blob) came so far: `bytes` of `total`, where the total is known.
    fn layer(&self, layer: &Digest, state: State, bytes: u64, total: Option<u64>);

    /// A blob is in the registry that is pushed to.
    fn delivered(&self, _blob: &Digest, _how: &Delivery) {}

    /// A line for people: `Pulling from library/alpine`.
    fn message(&self, text: &str);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn layer(&self, _layer: &Digest, _state: State, _bytes: u64, _total: Option<u64>) {}
    fn message(&self, _text: &str) {}
}
