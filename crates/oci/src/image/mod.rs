//! The documents of the OCI image specification 1.1, read leniently (Docker's older ones too) and written strictly.

mod config;
mod manifest;

pub use config::{Healthcheck, History, ImageConfig, ImageDocument, RootFs};
pub use manifest::{ImageIndex, ImageLayout, ImageManifest};
