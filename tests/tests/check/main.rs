//! `system check`: each kind of damage is done to a store of real images, found, mended; and then every image runs.

#![allow(missing_docs)]

mod attack;
mod beside;
mod blobs;
mod containers;
mod layers;
mod leavings;
mod references;
