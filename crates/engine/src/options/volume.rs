//! Volumes, images and other containers' mounts in a container: `-v`, `--mount type=volume|image`, `--volumes-from`.
//!
//! Only the text is judged here; whether a volume, an image or a container is there is asked when the container is made.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use conex_volume::VolumeName;
use serde::{Deserialize, Serialize};

use super::path::target_path;
use super::{Bind, MountOption, OptionError, Relabel};

/// A volume in the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeOption {
    /// `None` is an anonymous one, made for the container.
    pub name: Option<VolumeName>,
    /// Absolute, in the container.
    pub target: PathBuf,
    /// `ro`
    pub read_only: bool,
    /// `nocopy`: what the image has at the target is not copied into an empty volume.
    pub no_copy: bool,
    /// `volume-subpath`: relative to the volume's root.
    pub subpath: Option<PathBuf>,
    /// `U`: all its files are given to the container's user at each start.
    pub chown: bool,
    /// `z`, `Z`
    pub relabel: Option<Relabel>,
    /// `volume-driver`, `--volume-driver`; `local` when absent.
    pub driver: Option<String>,
    /// `volume-opt`, when it has to be made.
    pub driver_options: BTreeMap<String, String>,
    /// `volume-label`, when it has to be made.
    pub labels: BTreeMap<String, String>,
    /// Given by `-v`, and not by `--mount`: `inspect` shows the two apart.
    pub short: bool,
}

/// An image's files in the container, read-only: `--mount type=image`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageOption {
    /// The image, as a reference or an id.
    pub source: String,
    /// Absolute, in the container.
    pub target: PathBuf,
    /// `image-subpath`: relative to the image's root.
    pub subpath: Option<PathBuf>,
}

/// `--volumes-from CONTAINER[:MODE]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumesFrom {
    /// A name or an id.
    pub container: String,
    /// `ro`: all of them; otherwise each as the other container has it.
    pub read_only: bool,
}

const VOLUME: &str = "--volume";

impl MountOption {
    /// `-v [SOURCE:]TARGET[:OPTIONS]`: a host path is a bind, a word is a volume, and a target alone an anonymous one.
    ///
    /// # Errors
    /// A text that is none of them.
    pub fn from_volume_flag(text: &str) -> Result<Self, OptionError> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, place, modes) = match parts[..] {
            [place] if place.starts_with('/') => (None, place, ""),
            [source, place] => (Some(source), place, ""),
            [source, place, modes] => (Some(source), place, modes),
            _ => return Err(OptionError::syntax(VOLUME, text, "expected [SOURCE:]CONTAINER-PATH[:OPTIONS]")),
        };
        let first = source.and_then(|source| source.split('/').next());
        if source.is_some_and(|source| source.starts_with('/')) || matches!(first, Some("." | "..")) {
            return text.parse::<Bind>().map(Self::Bind);
        }
        let mut volume = VolumeOption { short: true, ..VolumeOption::default() };
        if let Some(source) = source {
            volume.name = Some(name(VOLUME, text, source)?);
        }
        volume.target = target_path(VOLUME, text, place)?;
        volume.modes(text, modes)?;
        Ok(Self::Volume(volume))
    }
}

/// A volume's name.
pub(super) fn name(what: &'static str, text: &str, source: &str) -> Result<VolumeName, OptionError> {
    source.parse().map_err(|error: conex_volume::Error| OptionError::syntax(what, text, error.to_string()))
}

/// A path below a root: what leads up is refused here, what symbolic links do is decided when it is mounted.
pub(super) fn subpath(what: &'static str, text: &str, path: &str) -> Result<PathBuf, OptionError> {
    let path = Path::new(path);
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if path.is_absolute() || !path.components().all(plain) || path.as_os_str().as_encoded_bytes().contains(&0)
    {
        return Err(OptionError::syntax(what, text, "a subpath must be relative, and stay below the root"));
    }
    Ok(path.components().filter(|part| matches!(part, Component::Normal(_))).collect())
}

impl VolumeOption {
    const MODES: [&'static str; 12] = [
        "ro",
        "rw",
        "z",
        "Z",
        "nocopy",
        "copy",
        "U",
        "idmap",
        "cached",
        "delegated",
        "consistent",
        "volume-nocopy",
    ];

    /// The comma-separated third part of `-v`.
    fn modes(&mut self, text: &str, modes: &str) -> Result<(), OptionError> {
        let twice = |kind: &str| Err(OptionError::syntax(VOLUME, text, format!("{kind} is given twice")));
        let (mut access, mut copy) = (false, false);
        for mode in modes.split(',').filter(|mode| !mode.is_empty()) {
            match mode {
                "ro" | "rw" => {
                    if std::mem::replace(&mut access, true) {
                        return twice("ro or rw");
                    }
                    self.read_only = mode == "ro";
                }
                "nocopy" | "copy" | "volume-nocopy" => {
                    if std::mem::replace(&mut copy, true) {
                        return twice("copy or nocopy");
                    }
                    self.no_copy = mode != "copy";
                }
                "z" | "Z" => {
                    if self.relabel.is_some() {
                        return twice("z or Z");
                    }
                    self.relabel = Some(if mode == "z" { Relabel::Shared } else { Relabel::Private });
                }
                "U" => self.chown = true,
                // A volume always keeps the owners that the container sees.
                "idmap" => {}
                // Hints for file sharing on other systems: Docker on Linux takes and ignores them.
                "cached" | "delegated" | "consistent" => {}
                _ => return Err(OptionError::unknown("--volume option", mode, Self::MODES)),
            }
        }
        Ok(())
    }
}

impl FromStr for VolumesFrom {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let (container, modes) = text.split_once(':').unwrap_or((text, ""));
        let mut from = Self { container: container.to_owned(), read_only: false };
        if container.is_empty() {
            return Err(OptionError::syntax("--volumes-from", text, "expected CONTAINER[:ro|rw]"));
        }
        for mode in modes.split(',').filter(|mode| !mode.is_empty()) {
            match mode {
                "ro" => from.read_only = true,
                "rw" | "z" | "Z" => {}
                _ => return Err(OptionError::unknown("--volumes-from option", mode, ["ro", "rw", "z", "Z"])),
            }
        }
        Ok(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(text: &str) -> VolumeOption {
        match MountOption::from_volume_flag(text).unwrap() {
            MountOption::Volume(volume) => volume,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn forms() {
        let plain = volume("data:/b");
        assert_eq!((plain.name.as_ref().unwrap().as_str(), plain.target.to_str()), ("data", Some("/b")));
        assert!(plain.short && !plain.read_only && !plain.no_copy);
        assert_eq!(volume("/b//c/").target, Path::new("/b/c"));
        assert_eq!(volume("/b").name, None);
        let all = volume("data:/b:ro,nocopy,U,Z,idmap,cached");
        assert!(all.read_only && all.no_copy && all.chown && all.relabel == Some(Relabel::Private));
        for text in ["/a:/b", "./a:/b:ro", "..:/b", "/a:/b:U,idmap"] {
            assert!(matches!(MountOption::from_volume_flag(text).unwrap(), MountOption::Bind(_)), "{text}");
        }
        let from: VolumesFrom = "web:ro".parse().unwrap();
        assert!(from.read_only && from.container == "web");
    }

    #[test]
    fn refusals() {
        for (bad, why) in [
            ("", "expected [SOURCE:]"),
            ("data", "expected [SOURCE:]"),
            ("a:/b:ro:rw", "expected [SOURCE:]"),
            ("../x:b", "must be absolute"),
            ("a/b:/c", "includes invalid characters"),
            (":/b", "includes invalid characters"),
            ("x:/b", "at least two"),
            ("data:/", "must not be \"/\""),
            ("data:b", "must be absolute"),
            ("data:/b:rshared", "unknown --volume option"),
            ("data:/b:ro,rw", "given twice"),
            ("data:/b:nocpy", "did you mean \"nocopy\"?"),
        ] {
            let error = MountOption::from_volume_flag(bad).unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
        assert!("".parse::<VolumesFrom>().is_err() && "web:rx".parse::<VolumesFrom>().is_err());
        for bad in ["/x", "..", "a/../b", "a\0"] {
            assert!(subpath("--mount", "", bad).is_err(), "{bad}");
        }
        assert_eq!(subpath("--mount", "", "a/./b/").unwrap(), Path::new("a/b"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,60}") {
            let _ = MountOption::from_volume_flag(&text);
            let _ = text.parse::<VolumesFrom>();
        }
    }
}
