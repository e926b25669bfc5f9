//! Which form layers have here: EROFS images where the kernel and who we are allow to mount them, directories elsewhere.
//!
//! Only trying tells, so a small image is mounted once after each boot, and the answer kept beside the mounts:
//! `erofs file`, `erofs loop`, or `directories:` and why. Whether its file system can seal files (fs-verity) is found and kept
//! with it.

use std::path::{Path, PathBuf};

use super::{Form, LayerError, Packed, Result, seal};

pub use conex_erofs::Backing as Mounts;

/// `directories`, `erofs`, or `auto`, which it is without.
const VARIABLE: &str = "CONEX_LAYERS";
const FILE: &str = "backend";
const SEALED: &str = ", fs-verity";

/// The form of layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// As trees of files, stacked by overlayfs.
    Directories {
        /// Why not the other.
        why: String,
    },
    /// As EROFS images.
    Erofs {
        /// What the kernel reads them through.
        mounts: Mounts,
        /// Whether they are sealed with fs-verity.
        is_sealed: bool,
    },
}

impl Backend {
    /// What it is here, for layers in `root` and mounts in `mounts`, both of which exist.
    ///
    /// # Errors
    /// `CONEX_LAYERS` asks for what is not there, or for nothing that there is.
    pub fn of(root: &Path, mounts: &Path) -> Result<Self> {
        let wanted = std::env::var(VARIABLE).unwrap_or_default();
        match wanted.as_str() {
            "" | "auto" => Ok(Self::known(root, mounts)),
            "directories" => Ok(Self::Directories { why: format!("{VARIABLE} says so") }),
            "erofs" => match Self::known(root, mounts) {
                Self::Directories { why } => Err(LayerError::Backend { asked: wanted, why }),
                erofs => Ok(erofs),
            },
            _ => Err(LayerError::Backend {
                asked: wanted,
                why: "there are auto, erofs, directories".to_owned(),
            }),
        }
    }

    /// As it was found since the last boot, or is found now.
    fn known(root: &Path, mounts: &Path) -> Self {
        let file = mounts.join(FILE);
        if let Some(known) = std::fs::read_to_string(&file).ok().and_then(|text| Self::parse(&text)) {
            return known;
        }
        let found = match conex_erofs::probe(root) {
            Ok(mounts) => Self::Erofs { mounts, is_sealed: seal::is_possible(root) },
            // That says nothing of the kernel, and is not kept.
            Err(error) if conex_content::is_full(&error) => {
                let image = an_image(root).and_then(|image| conex_erofs::probe_with(&image).ok());
                let why = || Self::Directories { why: error.to_string() };
                return image.map_or_else(why, |mounts| Self::Erofs { mounts, is_sealed: false });
            }
            Err(error) => Self::Directories { why: error.to_string() },
        };
        // Several may find the same at once; without the file it is found again.
        let unfinished = mounts.join(format!("{FILE}.{}", std::process::id()));
        let kept = std::fs::write(&unfinished, found.to_string());
        if let Err(error) = kept.and_then(|()| std::fs::rename(&unfinished, &file)) {
            log::debug!("cannot keep {}: {error}", file.display());
        }
        found
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end();
        let (form, is_sealed) = text.strip_suffix(SEALED).map_or((text, false), |form| (form, true));
        match form {
            "erofs file" => Some(Self::Erofs { mounts: Mounts::File, is_sealed }),
            "erofs loop" => Some(Self::Erofs { mounts: Mounts::Loop, is_sealed }),
            _ => text.strip_prefix("directories: ").map(|why| Self::Directories { why: why.to_owned() }),
        }
    }
}

/// A layer that is one already.
fn an_image(root: &Path) -> Option<PathBuf> {
    let layers = std::fs::read_dir(root.join("layers")).ok()?;
    layers.flatten().map(|layer| layer.path().join(Packed::NAME)).find(|path| path.is_file())
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Erofs { mounts, is_sealed } => {
                f.write_str(match mounts {
                    Mounts::File => "erofs file",
                    Mounts::Loop => "erofs loop",
                })?;
                f.write_str(if *is_sealed { SEALED } else { "" })
            }
            Self::Directories { why } => write!(f, "directories: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_understood() {
        for backend in [
            Backend::Erofs { mounts: Mounts::File, is_sealed: false },
            Backend::Erofs { mounts: Mounts::Loop, is_sealed: true },
            Backend::Directories { why: "cannot mount: no".to_owned() },
        ] {
            assert_eq!(Backend::parse(&format!("{backend}\n")), Some(backend));
        }
        assert_eq!(Backend::parse(""), None);
        assert_eq!(Backend::parse("erofs tape"), None);
    }
}
