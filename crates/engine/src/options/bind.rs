//! `-v source:target[:options]`: what of the host the container sees.
//!
//! Only the text is judged here; whether a source exists is asked when the container is made.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::OptionError;
use super::path::{clean, source_path, target_path};

/// A host path in the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bind {
    /// On the host; absolute once [`Bind::resolve`] was called.
    pub source: PathBuf,
    /// Absolute, in the container.
    pub target: PathBuf,
    /// `ro`
    pub read_only: bool,
    /// Whether mounts below the source come along, and whether `ro` reaches them.
    pub recursion: Recursion,
    /// `rprivate` when absent.
    pub propagation: Propagation,
    /// `z`, `Z`
    pub relabel: Option<Relabel>,
    /// `-v` makes a missing source directory, `--mount` refuses.
    pub create_source: bool,
    /// `U`: all its files are given to the container's user at each start.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub chown: bool,
    /// `idmap`: in a user namespace, the container's owners are the source's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub idmap: bool,
    /// Given by `--mount`, and not by `-v`: `inspect` shows the two apart.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub spelt: bool,
    /// It came by `--volumes-from`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub inherited: bool,
}

/// `bind-recursive=`, `bind`, `rbind`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recursion {
    /// Mounts below come along, read-only too when the bind is and the kernel can (5.12).
    #[default]
    Enabled,
    /// Only the one mount.
    Disabled,
    /// Mounts below come along and stay writable.
    Writable,
    /// Mounts below come along, read-only, or it fails.
    Readonly,
}

/// How mounts and unmounts travel between host and container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "mount_namespaces(7)'s own words")]
pub enum Propagation {
    #[default]
    Rprivate,
    Private,
    Rshared,
    Shared,
    Rslave,
    Slave,
}

/// SELinux relabelling of the source, which needs SELinux on the host; a host without has nothing to relabel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Relabel {
    /// `z`: several containers share it.
    Shared,
    /// `Z`: this container's alone.
    Private,
}

const VOLUME: &str = "--volume";
const MODES: [&str; 18] = [
    "ro",
    "rw",
    "bind",
    "rbind",
    "private",
    "rprivate",
    "shared",
    "rshared",
    "slave",
    "rslave",
    "z",
    "Z",
    "nocopy",
    "U",
    "idmap",
    "cached",
    "delegated",
    "consistent",
];
impl Propagation {
    /// mount_namespaces(7)'s word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rprivate => "rprivate",
            Self::Private => "private",
            Self::Rshared => "rshared",
            Self::Shared => "shared",
            Self::Rslave => "rslave",
            Self::Slave => "slave",
        }
    }

    pub(super) fn find(text: &str) -> Option<Self> {
        [Self::Rprivate, Self::Private, Self::Rshared, Self::Shared, Self::Rslave, Self::Slave]
            .into_iter()
            .find(|propagation| propagation.as_str() == text)
    }
}

impl Bind {
    /// The same with a relative source (`.`, `./x`, `../x`) taken from the directory `cwd`, and `.` and `..` removed from it.
    pub fn resolve(mut self, cwd: &Path) -> Self {
        self.source = clean(&cwd.join(&self.source));
        self
    }
}

/// `-v source:target[:options]`
impl FromStr for Bind {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, place, modes) = match parts[..] {
            [source, place] => (source, place, ""),
            [source, place, modes] => (source, place, modes),
            _ => {
                return Err(OptionError::syntax(VOLUME, text, "expected HOST-PATH:CONTAINER-PATH[:OPTIONS]"));
            }
        };
        let mut bind =
            Self { source: source_path(VOLUME, text, source)?, create_source: true, ..Self::default() };
        bind.target = target_path(VOLUME, text, place)?;
        bind.modes(text, modes)?;
        Ok(bind)
    }
}

impl Bind {
    /// The comma-separated third part of `-v`; each kind of word at most once, as Docker.
    fn modes(&mut self, text: &str, modes: &str) -> Result<(), OptionError> {
        let twice = |kind: &str| Err(OptionError::syntax(VOLUME, text, format!("{kind} is given twice")));
        let (mut access, mut propagation, mut recursion) = (false, false, false);
        for mode in modes.split(',').filter(|mode| !mode.is_empty()) {
            match mode {
                "ro" | "rw" => {
                    if std::mem::replace(&mut access, true) {
                        return twice("ro or rw");
                    }
                    self.read_only = mode == "ro";
                }
                "bind" | "rbind" => {
                    if std::mem::replace(&mut recursion, true) {
                        return twice("bind or rbind");
                    }
                    self.recursion = if mode == "bind" { Recursion::Disabled } else { Recursion::Enabled };
                }
                "z" | "Z" => {
                    if self.relabel.is_some() {
                        return twice("z or Z");
                    }
                    self.relabel = Some(if mode == "z" { Relabel::Shared } else { Relabel::Private });
                }
                "U" => self.chown = true,
                "idmap" => self.idmap = true,
                // Hints for file sharing on other systems: Docker on Linux takes and ignores them.
                "cached" | "delegated" | "consistent" => {}
                "nocopy" => {
                    return Err(OptionError::syntax(
                        VOLUME,
                        text,
                        "nocopy is for named volumes, not for host paths",
                    ));
                }
                _ => match Propagation::find(mode) {
                    Some(_) if std::mem::replace(&mut propagation, true) => return twice("the propagation"),
                    Some(found) => self.propagation = found,
                    None => return Err(OptionError::unknown("--volume option", mode, MODES)),
                },
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(source: &str, target: &str) -> Bind {
        Bind { source: source.into(), target: target.into(), create_source: true, ..Bind::default() }
    }

    #[test]
    fn volume_forms() {
        let ro = |bind: Bind| Bind { read_only: true, ..bind };
        for (text, expected) in [
            ("/a:/b", bind("/a", "/b")),
            ("/a/../c/:/b//d/", bind("/c", "/b/d")),
            ("./a:/b", bind("./a", "/b")),
            (".:/b", bind(".", "/b")),
            ("../a:/b:rw", bind("../a", "/b")),
            ("/:/host:ro", ro(bind("/", "/host"))),
            ("/a:/b:", bind("/a", "/b")),
            ("/a:/b:bind", Bind { recursion: Recursion::Disabled, ..bind("/a", "/b") }),
            (
                "/a:/b:ro,rslave,z",
                Bind {
                    propagation: Propagation::Rslave,
                    relabel: Some(Relabel::Shared),
                    ..ro(bind("/a", "/b"))
                },
            ),
            (
                "/a:/b:Z,cached,rbind,shared",
                Bind {
                    propagation: Propagation::Shared,
                    relabel: Some(Relabel::Private),
                    ..bind("/a", "/b")
                },
            ),
        ] {
            assert_eq!(text.parse::<Bind>().unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn volume_refusals() {
        for (bad, why) in [
            ("", "expected HOST-PATH:CONTAINER-PATH"),
            ("data:/b", "expected a host path"),
            ("/b", "expected HOST-PATH:CONTAINER-PATH"),
            ("/a:b", "must be absolute"),
            ("/a:", "must be absolute"),
            ("/a:/", "must not be \"/\""),
            ("/a:/x/..", "must not be \"/\""),
            ("/a:/b:ro,rw", "given twice"),
            ("/a:/b:z,Z", "given twice"),
            ("/a:/b:shared,slave", "given twice"),
            ("/a:/b:r0", "did you mean \"ro\"?"),
            ("/a:/b:nocopy", "named volumes"),
            ("/a:/b:ro:rw", "expected HOST-PATH"),
        ] {
            let error = bad.parse::<Bind>().unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
            assert!(!error.contains('\n'));
        }
    }

    #[test]
    fn relative_sources_are_taken_from_the_callers_directory() {
        for (source, absolute) in [
            ("./x", "/home/me/x"),
            (".", "/home/me"),
            ("../x", "/home/x"),
            ("/x", "/x"),
            ("../../../..", "/"),
        ] {
            let text = format!("{source}:/b");
            assert_eq!(
                text.parse::<Bind>().unwrap().resolve(Path::new("/home/me")).source,
                Path::new(absolute)
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,80}") {
            let _ = text.parse::<Bind>();
        }

        #[test]
        fn taken_targets_are_clean(source in "[./a]{1,8}", place in "[/.a]{0,12}", mode in "[a-zZ,]{0,9}") {
            if let Ok(bind) = format!("{source}:{place}:{mode}").parse::<Bind>() {
                proptest::prop_assert!(bind.target.is_absolute() && bind.target != Path::new("/"));
                proptest::prop_assert_eq!(clean(&bind.target), bind.target);
            }
        }
    }
}
