//! `--mount key=value,…`: a bind or a tmpfs, spelt out.

use std::str::FromStr;

use super::path::{host_path, target_path};
use super::{Bind, OptionError, Propagation, Recursion, Tmpfs, parse_size};

/// `--mount`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountOption {
    /// `type=bind`
    Bind(Bind),
    /// `type=tmpfs`
    Tmpfs(Tmpfs),
}

const MOUNT: &str = "--mount";
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
                self.recursion = Some(if flag()? { Recursion::Disabled } else { Recursion::Enabled });
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
        let target = target_path(MOUNT, text, place)?;
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
                    source: host_path(MOUNT, text, source)?,
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
                "volumes are not supported yet; give type=bind or type=tmpfs",
            )),
            Some("image" | "cluster" | "npipe") => Err(OptionError::unsupported(
                MOUNT,
                text,
                "this type is not supported; give type=bind or type=tmpfs",
            )),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(source: &str, target: &str) -> Bind {
        Bind { source: source.into(), target: target.into(), ..Bind::default() }
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
            ("source=a,target=/b", "volumes are not supported yet"),
            ("type=volume,source=a,target=/b", "volumes are not supported yet"),
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
