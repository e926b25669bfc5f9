//! What `--opt` asks for: Docker's `type=`, `device=` and `o=` of the driver `local`, and `size=`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use conex_sys::mount::Attributes;

use crate::{Error, Result, parse_size};

/// What a volume's data lie in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backing {
    /// Its directory `_data`, with a limit of so many bytes or without.
    Directory {
        /// Bytes.
        size: Option<u64>,
    },
    /// `o=bind`: a directory of the host's.
    Bind {
        /// Absolute.
        path: PathBuf,
        /// `rbind`: with what is mounted below.
        recursive: bool,
        /// `ro`, `noexec`, …
        attributes: Attributes,
    },
    /// A file system that is mounted for the containers that have the volume.
    FileSystem(FileSystem),
}

/// A file system to mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// As in /proc/filesystems.
    pub kind: String,
    /// A device, `host:/path`, or any word, as the file system has it.
    pub device: String,
    /// Of the mount: `ro`, `noexec`, …
    pub attributes: Attributes,
    /// The superblock's own, as fsconfig(2) takes them.
    pub options: Vec<(String, Option<String>)>,
}

impl FileSystem {
    /// Whether the data are in memory alone, so that containers must share one mount.
    pub fn is_volatile(&self) -> bool {
        matches!(self.kind.as_str(), "tmpfs" | "ramfs")
    }
}

const KNOWN: [&str; 4] = ["type", "device", "o", "size"];

impl Backing {
    /// What the options mean.
    ///
    /// # Errors
    /// [`Error::Option`].
    pub fn of(options: &BTreeMap<String, String>) -> Result<Self> {
        if let Some(unknown) = options.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            return Err(Error::option(unknown, "unknown; there are type, device, o and size"));
        }
        let given = |key: &str| options.get(key).map(String::as_str).filter(|text| !text.is_empty());
        let mut size = given("size");
        let (kind, device, mut words) = (given("type"), given("device"), given("o").unwrap_or_default());
        // Podman spells a quota so.
        if let (None, None, Some(bytes)) = (kind, device, words.strip_prefix("size=")) {
            (size, words) = (Some(bytes), "");
        }
        let size = match size {
            None => None,
            Some(text) => Some(
                parse_size(text)
                    .ok_or_else(|| Error::option(&format!("size={text}"), "expected a size, as 10g"))?,
            ),
        };
        if kind.is_none() && device.is_none() && words.is_empty() {
            return Ok(Self::Directory { size });
        }
        if size.is_some() {
            return Err(Error::option(
                "size",
                "goes without type, device and o: the file system has its own",
            ));
        }
        let words = Words::read(words)?;
        if words.bind.is_some() || kind == Some("none") && device.is_some_and(|path| path.starts_with('/')) {
            return words.bind(device);
        }
        let kind = kind.ok_or_else(|| Error::option("type", "missing required option: \"type\""))?;
        let device = match (kind, device) {
            (_, Some(device)) => device,
            ("tmpfs" | "ramfs", None) => kind,
            _ => return Err(Error::option("device", "missing required option: \"device\"")),
        };
        let word = |text: &str| !text.is_empty() && !text.contains('\0');
        if !word(device)
            || !kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        {
            return Err(Error::option(&format!("type={kind}"), "expected the name of a file system"));
        }
        Ok(Self::FileSystem(FileSystem {
            kind: kind.to_owned(),
            device: device.to_owned(),
            attributes: words.attributes,
            options: words.rest,
        }))
    }
}

/// `o=`, sorted.
#[derive(Default)]
struct Words {
    /// `bind` (false) or `rbind` (true).
    bind: Option<bool>,
    attributes: Attributes,
    rest: Vec<(String, Option<String>)>,
}

impl Words {
    fn read(text: &str) -> Result<Self> {
        let mut words = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let (set, clear) = match word {
                "bind" | "rbind" => {
                    words.bind = Some(word == "rbind");
                    continue;
                }
                "remount" | "move" => {
                    return Err(Error::option(&format!("o={word}"), "cannot be asked of a volume"));
                }
                "defaults" | "private" | "rprivate" | "nofail" | "_netdev" | "auto" | "noauto" => continue,
                "ro" => (Attributes::RDONLY, Attributes::default()),
                "rw" => (Attributes::default(), Attributes::RDONLY),
                "nosuid" => (Attributes::NOSUID, Attributes::default()),
                "suid" => (Attributes::default(), Attributes::NOSUID),
                "nodev" => (Attributes::NODEV, Attributes::default()),
                "dev" => (Attributes::default(), Attributes::NODEV),
                "noexec" => (Attributes::NOEXEC, Attributes::default()),
                "exec" => (Attributes::default(), Attributes::NOEXEC),
                "nodiratime" => (Attributes::NODIRATIME, Attributes::default()),
                "noatime" => (Attributes::NOATIME, Attributes::STRICTATIME),
                "strictatime" => (Attributes::STRICTATIME, Attributes::NOATIME),
                "relatime" | "atime" => {
                    (Attributes::default(), Attributes::NOATIME.with(Attributes::STRICTATIME))
                }
                _ if word.contains('\0') => return Err(Error::option("o", "a word holds a NUL")),
                _ => {
                    let (key, value) = match word.split_once('=') {
                        Some((key, value)) => (key, Some(value.to_owned())),
                        None => (word, None),
                    };
                    words.rest.push((key.to_owned(), value));
                    continue;
                }
            };
            words.attributes = words.attributes.without(clear).with(set);
        }
        Ok(words)
    }

    fn bind(self, device: Option<&str>) -> Result<Backing> {
        let device = device.ok_or_else(|| Error::option("device", "missing required option: \"device\""))?;
        if !device.starts_with('/') || device.contains('\0') {
            return Err(Error::option("device", "o=bind needs the absolute path of a directory"));
        }
        if let Some((key, _)) = self.rest.first() {
            return Err(Error::option(&format!("o={key}"), "does not go with o=bind"));
        }
        let recursive = self.bind == Some(true);
        Ok(Backing::Bind { path: device.into(), recursive, attributes: self.attributes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(options: &[(&str, &str)]) -> Result<Backing> {
        Backing::of(&options.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect())
    }

    #[test]
    fn docker_s_examples() {
        assert_eq!(of(&[]).unwrap(), Backing::Directory { size: None });
        assert_eq!(of(&[("size", "10m")]).unwrap(), Backing::Directory { size: Some(10 << 20) });
        assert_eq!(of(&[("o", "size=1g")]).unwrap(), Backing::Directory { size: Some(1 << 30) });
        let tmpfs =
            of(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=100m,uid=1000,noexec")]).unwrap();
        let Backing::FileSystem(tmpfs) = tmpfs else { panic!("{tmpfs:?}") };
        assert!(tmpfs.is_volatile() && tmpfs.attributes == Attributes::NOEXEC);
        assert_eq!(tmpfs.options[1], ("uid".to_owned(), Some("1000".to_owned())));
        let nfs = of(&[("type", "nfs"), ("device", ":/path"), ("o", "addr=192.168.1.1,rw")]).unwrap();
        assert!(matches!(nfs, Backing::FileSystem(fs) if fs.options.len() == 1 && !fs.is_volatile()));
        for kind in ["none", "", "ext4"] {
            let bind = of(&[("type", kind), ("device", "/srv"), ("o", "bind,ro")]).unwrap();
            let attributes = Attributes::RDONLY;
            assert_eq!(bind, Backing::Bind { path: "/srv".into(), recursive: false, attributes });
        }
    }

    #[test]
    fn refusals() {
        for (options, why) in [
            (&[("colour", "red")][..], "unknown"),
            (&[("size", "x")], "expected a size"),
            (&[("type", "ext4")], "\"device\""),
            (&[("device", "/dev/sda")], "\"type\""),
            (&[("o", "bind")], "\"device\""),
            (&[("o", "bind"), ("device", "srv")], "absolute"),
            (&[("type", "../x"), ("device", "y")], "name of a file system"),
            (&[("type", "ext4"), ("device", "y"), ("o", "remount")], "cannot be asked"),
            (&[("type", "tmpfs"), ("size", "1m")], "goes without"),
        ] {
            let error = of(options).unwrap_err().to_string();
            assert!(error.contains(why), "{options:?}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(kind in ".{0,12}", device in ".{0,12}", o in ".{0,40}") {
            let _ = of(&[("type", &kind), ("device", &device), ("o", &o)]);
        }
    }
}
