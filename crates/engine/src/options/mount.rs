//! `-v source:target[:options]` and `--mount key=value,…`: what of the host, or which tmpfs, the container sees.
//!
//! Only the text is judged here; whether a source exists is asked when the container is made.

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{OptionError, Tmpfs, parse_size};

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

/// `--mount`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountOption {
    /// `type=bind`
    Bind(Bind),
    /// `type=tmpfs`
    Tmpfs(Tmpfs),
}

const VOLUME: &str = "--volume";
const MOUNT: &str = "--mount";
const MODES: [&str; 16] = [
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
    "cached",
    "delegated",
    "consistent",
];
const KEYS: [&str; 14] = [
    "type",
    "source",
    "src",
    "target",
    "destination",
    "dst",
    "readonly",
    "ro",
    "bind-propagation",
    "bind-recursive",
    "bind-nonrecursive",
    "bind-create-src",
    "tmpfs-size",
    "tmpfs-mode",
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

    fn find(text: &str) -> Option<Self> {
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
            [place] if place.starts_with('/') => {
                return Err(OptionError::unsupported(
                    VOLUME,
                    text,
                    "anonymous volumes come in a later version; give HOST-PATH:CONTAINER-PATH",
                ));
            }
            _ => {
                return Err(OptionError::syntax(VOLUME, text, "expected HOST-PATH:CONTAINER-PATH[:OPTIONS]"));
            }
        };
        let mut bind =
            Self { source: source_path(VOLUME, text, source)?, create_source: true, ..Self::default() };
        bind.target = target(VOLUME, text, place)?;
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

impl FromStr for MountOption {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let mut fields = Fields::default();
        for field in csv(text)? {
            let (key, value) = match field.split_once('=') {
                Some((key, value)) => (key.trim(), Some(value)),
                None => (field.trim(), None),
            };
            fields.take(text, key, value)?;
        }
        fields.finish(text)
    }
}

/// `--mount`'s keys as they come.
#[derive(Default)]
struct Fields {
    kind: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: bool,
    propagation: Option<Propagation>,
    recursion: Option<Recursion>,
    create_source: bool,
    size: Option<u64>,
    mode: Option<u32>,
}

impl Fields {
    fn take(&mut self, text: &str, key: &str, value: Option<&str>) -> Result<(), OptionError> {
        let wrong = |expected: &str| OptionError::syntax(MOUNT, text, format!("{key} must be {expected}"));
        let given = || {
            value
                .filter(|value| !value.is_empty())
                .ok_or_else(|| OptionError::syntax(MOUNT, text, format!("{key} needs a value")))
        };
        let flag = || match value {
            None | Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(true),
            Some("0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(false),
            Some(_) => Err(wrong("true or false")),
        };
        match key {
            "type" => self.kind = Some(given()?.to_ascii_lowercase()),
            "source" | "src" => self.source = Some(given()?.to_owned()),
            "target" | "destination" | "dst" => self.target = Some(given()?.to_owned()),
            "readonly" | "ro" => self.read_only = flag()?,
            "bind-propagation" => {
                self.propagation = Some(
                    Propagation::find(given()?)
                        .ok_or_else(|| wrong("rprivate, private, rshared, shared, rslave or slave"))?,
                );
            }
            "bind-recursive" => {
                self.recursion = Some(match given()? {
                    "enabled" | "true" | "1" => Recursion::Enabled,
                    "disabled" | "false" | "0" => Recursion::Disabled,
                    "writable" => Recursion::Writable,
                    "readonly" => Recursion::Readonly,
                    _ => return Err(wrong("enabled, disabled, writable or readonly")),
                });
            }
            "bind-nonrecursive" => {
                self.recursion = Some(if flag()? { Recursion::Disabled } else { Recursion::Enabled })
            }
            "bind-create-src" => self.create_source = flag()?,
            "tmpfs-size" => self.size = Some(parse_size("--mount tmpfs-size", given()?)?),
            "tmpfs-mode" => {
                let mode = u32::from_str_radix(given()?, 8).ok().filter(|mode| *mode <= 0o7777);
                self.mode = Some(mode.ok_or_else(|| wrong("octal permissions, as 1777"))?);
            }
            // File sharing hints of other systems.
            "consistency" => {}
            _ => return Err(OptionError::unknown("--mount key", key, KEYS)),
        }
        Ok(())
    }

    fn finish(self, text: &str) -> Result<MountOption, OptionError> {
        let wrong = |expected: &str| OptionError::syntax(MOUNT, text, expected);
        let place = self.target.as_deref().ok_or_else(|| wrong("target is required"))?;
        let target = target(MOUNT, text, place)?;
        let of_bind = self.propagation.is_some() || self.recursion.is_some() || self.create_source;
        let of_tmpfs = self.size.is_some() || self.mode.is_some();
        match self.kind.as_deref() {
            Some("bind") => {
                if of_tmpfs {
                    return Err(wrong("tmpfs-size and tmpfs-mode go with type=tmpfs"));
                }
                let source =
                    self.source.as_deref().ok_or_else(|| wrong("source is required for type=bind"))?;
                let recursion = self.recursion.unwrap_or_default();
                let propagation = self.propagation.unwrap_or_default();
                if recursion == Recursion::Readonly && !self.read_only {
                    return Err(wrong("bind-recursive=readonly needs readonly"));
                }
                if recursion == Recursion::Readonly && propagation != Propagation::Rprivate {
                    return Err(wrong("bind-recursive=readonly needs bind-propagation=rprivate"));
                }
                if recursion == Recursion::Writable && !self.read_only {
                    return Err(wrong("bind-recursive=writable needs readonly"));
                }
                Ok(MountOption::Bind(Bind {
                    source: bind_path(MOUNT, text, source)?,
                    target,
                    read_only: self.read_only,
                    recursion,
                    propagation,
                    relabel: None,
                    create_source: self.create_source,
                }))
            }
            Some("tmpfs") => {
                if of_bind || self.source.is_some() {
                    return Err(wrong("type=tmpfs takes no source and no bind- keys"));
                }
                let mut options = Vec::new();
                options.extend(self.read_only.then(|| "ro".to_owned()));
                options.extend(self.size.filter(|size| *size > 0).map(|size| format!("size={size}")));
                options.extend(self.mode.map(|mode| format!("mode={mode:o}")));
                Ok(MountOption::Tmpfs(Tmpfs { target, options }))
            }
            None | Some("volume") => Err(OptionError::unsupported(
                MOUNT,
                text,
                "volumes come in a later version; give type=bind or type=tmpfs",
            )),
            Some("image" | "cluster" | "npipe") => {
                Err(OptionError::unsupported(MOUNT, text, "give type=bind or type=tmpfs"))
            }
            Some(kind) => Err(OptionError::unknown("--mount type", kind, ["bind", "tmpfs"])),
        }
    }
}

/// The fields of one line of comma-separated values: a field in double quotes may hold commas, `""` stands for a quote (RFC 4180,
/// as Docker reads `--mount`).
fn csv(text: &str) -> Result<Vec<String>, OptionError> {
    let mut fields = vec![String::new()];
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        let field = fields.last_mut().expect("one is always there");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => fields.push(String::new()),
            _ => field.push(c),
        }
    }
    if quoted {
        return Err(OptionError::syntax(MOUNT, text, "a double quote is not closed"));
    }
    Ok(fields)
}

/// A host path for `-v`: absolute, or relative with a leading dot; a bare word is a volume's name.
fn source_path(what: &'static str, text: &str, source: &str) -> Result<PathBuf, OptionError> {
    let first = source.split('/').next().unwrap_or_default();
    if source.starts_with('/') || matches!(first, "." | "..") {
        return bind_path(what, text, source);
    }
    if source.is_empty() {
        return Err(OptionError::syntax(what, text, "the host path is empty"));
    }
    if source.contains('/') {
        return Err(OptionError::syntax(what, text, "a relative host path starts with ./"));
    }
    Err(OptionError::unsupported(
        what,
        text,
        "named volumes are not supported yet; give a host path (absolute, or with ./)",
    ))
}

fn bind_path(what: &'static str, text: &str, source: &str) -> Result<PathBuf, OptionError> {
    if source.contains('\0') {
        return Err(OptionError::syntax(what, text, "a path holds no NUL"));
    }
    Ok(if source.starts_with('/') { clean(Path::new(source)) } else { PathBuf::from(source) })
}

/// A path in the container: absolute, not the root, with `.` and `..` removed.
pub(super) fn target(what: &'static str, text: &str, place: &str) -> Result<PathBuf, OptionError> {
    if !place.starts_with('/') {
        return Err(OptionError::syntax(what, text, "the path in the container must be absolute"));
    }
    if place.contains('\0') {
        return Err(OptionError::syntax(what, text, "a path holds no NUL"));
    }
    let place = clean(Path::new(place));
    if place == Path::new("/") {
        return Err(OptionError::syntax(what, text, "the path in the container must not be \"/\""));
    }
    Ok(place)
}

/// An absolute path without `.`, `..` and doubled slashes, by its text alone (Go's `path.Clean`).
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
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
            ("data:/b", "named volumes are not supported yet"),
            ("/b", "anonymous volumes"),
            ("a/b:/c", "starts with ./"),
            (":/b", "host path is empty"),
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

    #[test]
    fn mount_forms() {
        let mount = |text: &str| text.parse::<MountOption>().unwrap();
        let plain = Bind { create_source: false, ..bind("/a", "/b") };
        assert_eq!(mount("type=bind,source=/a,target=/b"), MountOption::Bind(plain.clone()));
        assert_eq!(mount("type=bind,src=/a,dst=/b,readonly=false"), MountOption::Bind(plain.clone()));
        assert_eq!(
            mount("type=bind,src=/a,destination=/b,ro,bind-propagation=rshared,bind-recursive=disabled"),
            MountOption::Bind(Bind {
                read_only: true,
                propagation: Propagation::Rshared,
                recursion: Recursion::Disabled,
                ..plain.clone()
            })
        );
        assert_eq!(
            mount(r#"type=bind,"source=/a,b",target=/b"#),
            MountOption::Bind(Bind { source: "/a,b".into(), ..plain })
        );
        assert_eq!(
            mount("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770,ro"),
            MountOption::Tmpfs(Tmpfs {
                target: "/t".into(),
                options: vec!["ro".into(), "size=1048576".into(), "mode=1770".into()]
            })
        );
    }

    #[test]
    fn mount_refusals() {
        for (bad, why) in [
            ("", "unknown --mount key"),
            ("type=bind", "target is required"),
            ("type=bind,target=/b", "source is required"),
            ("type=bind,source=/a,target=b", "must be absolute"),
            ("type=bind,soruce=/a,target=/b", "did you mean \"source\"?"),
            ("type=bind,source=,target=/b", "source needs a value"),
            ("type=bind,source=/a,target=/b,readonly=maybe", "readonly must be true or false"),
            ("type=bind,source=/a,target=/b,bind-recursive=readonly", "needs readonly"),
            ("type=bind,source=/a,target=/b,tmpfs-size=1", "go with type=tmpfs"),
            ("type=tmpfs,source=/a,target=/b", "takes no source"),
            ("type=tmpfs,target=/b,tmpfs-mode=8", "octal"),
            ("type=tmpfs,target=/", "must not be \"/\""),
            ("source=a,target=/b", "volumes come in a later version"),
            ("type=volume,source=a,target=/b", "volumes come in a later version"),
            ("type=tmps,target=/b", "did you mean \"tmpfs\"?"),
            (r#"type=bind,"source=/a,target=/b"#, "quote is not closed"),
        ] {
            let error = bad.parse::<MountOption>().unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,80}") {
            let _ = text.parse::<Bind>();
            let _ = text.parse::<MountOption>();
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
