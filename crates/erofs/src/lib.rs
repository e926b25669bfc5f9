//! EROFS images.
mod emit;
mod error;
mod format;
mod layer;
mod tree;

pub use error::{Error, Result};
pub use layer::{LayerOptions, TarStream, layer_stats, tar_of, verify_layer, write_layer};
