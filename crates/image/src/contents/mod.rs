//! What an image's layers hold, file by file: which layer a file comes from, what a layer adds, changes, hides and wastes
//! (`image tree`), and in what two images differ (`image diff`).
//!
//! The layers' tar streams are read once, from the lowest up ([`Store::contents`]), as they lie in the content store and not
//! as they are unpacked: so it makes no difference how layers are kept, and nothing has to be mounted. Each layer is laid
//! on a stack by the rules that unpacking follows (image-spec layer.md). Contents are hashed and let go; what
//! stays is about 250 bytes a file, and more than [`MOST`] files are refused.

mod compare;
mod error;
mod name;
mod read;
mod report;
mod stack;

pub use compare::{Difference, compare};
pub use error::ContentsError;
pub use report::{Event, EventKind, LayerSummary, Wasted};

use conex_oci::image::ImageManifest;
use stack::Stack;

use crate::{Image, Result, Store};

/// Files, directories and whiteouts of all layers together.
pub const MOST: usize = 1_000_000;

/// An image's files, layer upon layer.
#[derive(Debug)]
pub struct Contents {
    stack: Stack,
}

impl Store {
    /// Reads all layers of the image. The caller leases it.
    pub fn contents(&self, image: &Image) -> Result<Contents> {
        let mut stack = Stack::default();
        self.lay(&mut stack, image, 0)?;
        Ok(Contents { stack })
    }

    /// The same of two images; layers that both begin with are read once.
    pub fn contents_of_two(&self, images: [&Image; 2]) -> Result<[Contents; 2]> {
        let [a, b] = images.map(|image| image.document.rootfs.diff_ids.iter());
        let shared = a.zip(b).take_while(|(a, b)| a == b).count();
        let mut base = Stack::default();
        let [a, b] = images;
        self.lay(&mut base, &Image { manifest: first(a, shared), ..a.clone() }, 0)?;
        let mut other = base.clone();
        self.lay(&mut base, a, shared)?;
        self.lay(&mut other, b, shared)?;
        Ok([Contents { stack: base }, Contents { stack: other }])
    }

    /// Lays the image's layers from number `from` on (0 is the lowest) on the stack.
    fn lay(&self, stack: &mut Stack, image: &Image, from: usize) -> Result<()> {
        for (number, blob) in image.manifest.layers.iter().enumerate().skip(from) {
            let file = self.content().reader(&blob.digest)?;
            let failed = |why| ContentsError { layer: number + 1, digest: blob.digest, why };
            read::layer(stack, file).map_err(failed)?;
        }
        Ok(())
    }
}

/// The manifest with its lowest layers only.
fn first(image: &Image, count: usize) -> ImageManifest {
    let mut manifest = image.manifest.clone();
    manifest.layers.truncate(count);
    manifest
}
