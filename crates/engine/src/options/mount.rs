//! `--mount key=value,…`: a volume, a bind, a tmpfs or an image, spelt out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use super::path::{host_path, target_path};
use super::volume::{name, subpath};
use super::{Bind, ImageOption, OptionError, Propagation, Recursion, Tmpfs, VolumeOption, parse_size};

/// `--mount`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountOption {
    /// `type=bind`
    Bind(Bind),
    /// `type=tmpfs`
    Tmpfs(Tmpfs),
    /// `type=volume`, and without a type
    Volume(VolumeOption),
    /// `type=image`
    Image(ImageOption),
}

const MOUNT: &str = "--mount";
const KEYS: [&str; 23] = [
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
    "volume-subpath",
    "volume-nocopy",
    "volume-label",
    "volume-driver",
    "volume-opt",
    "image-subpath",
    "consistency",
    "U",
    "idmap",
];

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
    read_only: Option<bool>,
    propagation: Option<Propagation>,
    recursion: Option<Recursion>,
    create_source: bool,
    size: Option<u64>,
    mode: Option<u32>,
    chown: bool,
    idmap: bool,
    volume: VolumeFields,
    image_subpath: Option<PathBuf>,
}

/// Those of a volume alone.
#[derive(Default, PartialEq)]
struct VolumeFields {
    no_copy: bool,
    subpath: Option<PathBuf>,
    labels: BTreeMap<String, String>,
    driver: Option<String>,
    options: BTreeMap<String, String>,
}

impl VolumeFields {
    fn are_given(&self) -> bool {
        *self != Self::default()
    }
}

impl Fields {
    fn is_read_only(&self) -> bool {
        self.read_only == Some(true)
    }

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
            "readonly" | "ro" => self.read_only = Some(flag()?),
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
                self.recursion = Some(if flag()? { Recursion::Disabled } else { Recursion::Enabled });
            }
            "bind-create-src" => self.create_source = flag()?,
            "tmpfs-size" => self.size = Some(parse_size("--mount tmpfs-size", given()?)?),
            "tmpfs-mode" => {
                let mode = u32::from_str_radix(given()?, 8).ok().filter(|mode| *mode <= 0o7777);
                self.mode = Some(mode.ok_or_else(|| wrong("octal permissions, as 1777"))?);
            }
            "volume-nocopy" => self.volume.no_copy = flag()?,
            "volume-subpath" => self.volume.subpath = Some(subpath(MOUNT, text, given()?)?),
            "image-subpath" => self.image_subpath = Some(subpath(MOUNT, text, given()?)?),
            "volume-driver" => self.volume.driver = Some(given()?.to_owned()),
            "volume-label" | "volume-opt" => {
                let (name, value) = given()?.split_once('=').unwrap_or((given()?, ""));
                let map =
                    if key == "volume-opt" { &mut self.volume.options } else { &mut self.volume.labels };
                map.insert(name.to_owned(), value.to_owned());
            }
            "U" | "chown" => self.chown = flag()?,
            "idmap" => self.idmap = flag()?,
            // File sharing hints of other systems.
            "consistency" => {}
            _ => return Err(OptionError::unknown("--mount key", key, KEYS)),
        }
        Ok(())
    }

    fn finish(self, text: &str) -> Result<MountOption, OptionError> {
        let wrong = |expected: &str| OptionError::syntax(MOUNT, text, expected);
        let place = self.target.as_deref().ok_or_else(|| wrong("target is required"))?;
        let target = target_path(MOUNT, text, place)?;
        let of_bind = self.propagation.is_some() || self.recursion.is_some() || self.create_source;
        let of_tmpfs = self.size.is_some() || self.mode.is_some();
        let kind = self.kind.as_deref().unwrap_or("volume");
        for (given, of) in [
            (of_bind, "bind"),
            (of_tmpfs, "tmpfs"),
            (self.volume.are_given(), "volume"),
            (self.image_subpath.is_some(), "image"),
        ] {
            if given && kind != of {
                return Err(wrong(&format!("{of}- keys go with type={of}, not with type={kind}")));
            }
        }
        if (self.chown || self.idmap) && !matches!(kind, "bind" | "volume") {
            return Err(wrong("U and idmap go with type=bind and type=volume"));
        }
        match kind {
            "bind" => self.bind(text, target),
            "volume" => self.volume(text, target),
            "tmpfs" => {
                if self.source.is_some() {
                    return Err(wrong("type=tmpfs takes no source"));
                }
                let mut options = Vec::new();
                options.extend(self.is_read_only().then(|| "ro".to_owned()));
                options.extend(self.size.filter(|size| *size > 0).map(|size| format!("size={size}")));
                options.extend(self.mode.map(|mode| format!("mode={mode:o}")));
                Ok(MountOption::Tmpfs(Tmpfs { target, options, spelt: true }))
            }
            "image" => {
                let source = self.source.ok_or_else(|| wrong("source is required for type=image"))?;
                if self.read_only == Some(false) {
                    return Err(wrong("type=image is always read-only"));
                }
                Ok(MountOption::Image(ImageOption { source, target, subpath: self.image_subpath }))
            }
            "cluster" | "npipe" => Err(OptionError::unsupported(
                MOUNT,
                text,
                "this type is not supported; give type=volume, bind, tmpfs or image",
            )),
            kind => Err(OptionError::unknown("--mount type", kind, ["bind", "volume", "tmpfs", "image"])),
        }
    }

    fn bind(self, text: &str, target: PathBuf) -> Result<MountOption, OptionError> {
        let wrong = |expected: &str| OptionError::syntax(MOUNT, text, expected);
        let source = self.source.as_deref().ok_or_else(|| wrong("source is required for type=bind"))?;
        let recursion = self.recursion.unwrap_or_default();
        let propagation = self.propagation.unwrap_or_default();
        if recursion == Recursion::Readonly && !self.is_read_only() {
            return Err(wrong("bind-recursive=readonly needs readonly"));
        }
        if recursion == Recursion::Readonly && propagation != Propagation::Rprivate {
            return Err(wrong("bind-recursive=readonly needs bind-propagation=rprivate"));
        }
        if recursion == Recursion::Writable && !self.is_read_only() {
            return Err(wrong("bind-recursive=writable needs readonly"));
        }
        Ok(MountOption::Bind(Bind {
            source: host_path(MOUNT, text, source)?,
            target,
            read_only: self.is_read_only(),
            recursion,
            propagation,
            create_source: self.create_source,
            chown: self.chown,
            idmap: self.idmap,
            spelt: true,
            ..Bind::default()
        }))
    }

    fn volume(self, text: &str, target: PathBuf) -> Result<MountOption, OptionError> {
        let read_only = self.is_read_only();
        let VolumeFields { no_copy, subpath, labels, driver, options: driver_options } = self.volume;
        if subpath.is_some() && self.source.is_none() {
            return Err(OptionError::syntax(MOUNT, text, "volume-subpath needs the source, a volume's name"));
        }
        Ok(MountOption::Volume(VolumeOption {
            name: self.source.map(|source| name(MOUNT, text, &source)).transpose()?,
            target,
            read_only,
            no_copy,
            subpath,
            chown: self.chown,
            relabel: None,
            driver,
            driver_options,
            labels,
            short: false,
        }))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(source: &str, target: &str) -> Bind {
        Bind { source: source.into(), target: target.into(), spelt: true, ..Bind::default() }
    }

    #[test]
    fn mount_forms() {
        let mount = |text: &str| text.parse::<MountOption>().unwrap();
        let plain = bind("/a", "/b");
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
                options: vec!["ro".into(), "size=1048576".into(), "mode=1770".into()],
                spelt: true,
            })
        );
    }

    #[test]
    fn volumes_and_images() {
        let mount = |text: &str| text.parse::<MountOption>().unwrap();
        let name = Some("data".parse().unwrap());
        let plain = VolumeOption { name, target: "/b".into(), ..VolumeOption::default() };
        assert_eq!(mount("source=data,target=/b"), MountOption::Volume(plain.clone()));
        let text = r#"type=volume,src=data,dst=/b,ro,volume-nocopy,volume-subpath=x/y,volume-label=a=1,volume-driver=local,volume-opt=type=tmpfs,"volume-opt=o=size=1m,uid=5""#;
        let MountOption::Volume(volume) = mount(text) else { panic!() };
        assert!(volume.read_only && volume.no_copy && volume.labels["a"] == "1");
        assert_eq!(volume.subpath, Some("x/y".into()));
        assert_eq!(
            (&*volume.driver_options["type"], &*volume.driver_options["o"]),
            ("tmpfs", "size=1m,uid=5")
        );
        assert!(matches!(mount("target=/b"), MountOption::Volume(volume) if volume.name.is_none()));
        let image =
            ImageOption { source: "alpine:3".into(), target: "/i".into(), subpath: Some("etc".into()) };
        assert_eq!(
            mount("type=image,source=alpine:3,target=/i,image-subpath=etc"),
            MountOption::Image(image)
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
            ("type=bind,source=/a,target=/b,volume-nocopy", "go with type=volume"),
            ("type=tmpfs,target=/b,U", "go with type=bind"),
            ("type=volume,target=/b,volume-subpath=x", "needs the source"),
            ("source=ab,target=/b,volume-subpath=../x", "stay below"),
            ("type=image,target=/b", "source is required"),
            ("type=image,source=a,target=/b,readonly=false", "always read-only"),
            ("type=image,source=a,target=/b,ro=0", "always read-only"),
            ("type=tmpfs,source=/a,target=/b", "takes no source"),
            ("type=tmpfs,target=/b,tmpfs-mode=8", "octal"),
            ("type=tmpfs,target=/", "must not be \"/\""),
            ("type=volume,source=../x,target=/b", "invalid characters"),
            ("type=tmps,target=/b", "did you mean \"tmpfs\"?"),
            (r#"type=bind,"source=/a,target=/b"#, "quote is not closed"),
        ] {
            let error = bad.parse::<MountOption>().unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "(type=(bind|tmpfs),)?.{0,80}") {
            let _ = text.parse::<MountOption>();
        }
    }
}
