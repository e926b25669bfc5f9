//! Images: load, save, pull, unpack, history; layers and the root filesystems made of them.

pub mod layers;
pub mod rootfs;
