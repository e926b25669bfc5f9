//! `--security-opt`, in all its forms, and what a container may do.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::path::clean;
use super::{DEFAULT_CAPABILITIES, OptionError};

/// Its rights.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SecurityOptions {
    /// `--cap-add`, normalised to `CAP_…` or `ALL`.
    pub cap_add: Vec<String>,
    /// `--cap-drop`, normalised to `CAP_…` or `ALL`.
    pub cap_drop: Vec<String>,
    /// What these start from; `None`: [`DEFAULT_CAPABILITIES`](super::DEFAULT_CAPABILITIES). Kept with the container, whatever the
    /// configuration says later.
    pub usual_capabilities: Option<Vec<String>>,
    /// `--privileged`
    pub privileged: bool,
    /// `--security-opt seccomp=`
    pub seccomp: SeccompMode,
    /// `--security-opt no-new-privileges`
    pub no_new_privileges: bool,
    /// `--security-opt mask=/a:/b`
    pub mask: Vec<PathBuf>,
    /// `--security-opt unmask=ALL|/a:/b`
    pub unmask: Unmask,
    /// `--security-opt apparmor=`
    pub apparmor: Option<String>,
    /// `--security-opt label=…`; `disable` or SELinux's four parts.
    pub label: Vec<String>,
}

/// `--security-opt seccomp=`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeccompMode {
    /// The built-in allow list.
    #[default]
    Default,
    /// No filter.
    Unconfined,
    /// A profile in Docker's format: the file's content, read at create.
    Profile(String),
}

/// `--security-opt unmask=`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unmask {
    /// Everything.
    All,
    /// These; a path that ends in `/*` stands for all that is masked below it.
    Paths(Vec<PathBuf>),
}

impl Default for Unmask {
    fn default() -> Self {
        Self::Paths(Vec::new())
    }
}

/// One `--security-opt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecurityOpt {
    /// `seccomp=builtin`, `seccomp=default`
    SeccompDefault,
    /// `seccomp=unconfined`
    SeccompUnconfined,
    /// `seccomp=FILE`
    SeccompFile(PathBuf),
    /// `no-new-privileges[=true|false]`
    NoNewPrivileges(bool),
    /// `mask=/a:/b`
    Mask(Vec<PathBuf>),
    /// `unmask=ALL`, `unmask=/a:/b`, `systempaths=unconfined`
    Unmask(Unmask),
    /// `apparmor=PROFILE`
    Apparmor(String),
    /// `label=disable`, `label=type:…`
    Label(String),
}

const WHAT: &str = "--security-opt";
const NAMES: [&str; 7] =
    ["apparmor", "label", "mask", "no-new-privileges", "seccomp", "systempaths", "unmask"];

/// A profile is about 13 kB; more than this is not one.
const PROFILE_LIMIT: u64 = 1 << 20;

impl FromStr for SecurityOpt {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        // Docker takes both `key=value` and the older `key:value`.
        let (key, value) = match text.find(['=', ':']) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let wrong = |expected: &str| OptionError::syntax(WHAT, text, expected);
        let given = || {
            value.filter(|value| !value.is_empty()).ok_or_else(|| wrong("a value must follow, as KEY=VALUE"))
        };
        Ok(match key {
            "no-new-privileges" => match value {
                None | Some("true" | "1") => Self::NoNewPrivileges(true),
                Some("false" | "0") => Self::NoNewPrivileges(false),
                Some(_) => return Err(wrong("no-new-privileges takes true or false")),
            },
            "seccomp" => match given()? {
                "unconfined" => Self::SeccompUnconfined,
                "builtin" | "default" => Self::SeccompDefault,
                path => Self::SeccompFile(path.into()),
            },
            "apparmor" => {
                let profile = given()?;
                if profile.bytes().any(|b| b.is_ascii_control()) {
                    return Err(wrong("a profile's name is printable"));
                }
                Self::Apparmor(profile.to_owned())
            }
            "label" => {
                let label = given()?;
                let part = label.split_once(':');
                match part {
                    None if matches!(label, "disable" | "nested") => {}
                    Some(("user" | "role" | "type" | "level" | "filetype", part)) if !part.is_empty() => {}
                    _ => {
                        return Err(wrong(
                            "label takes disable, or user:, role:, type:, level: with a value",
                        ));
                    }
                }
                Self::Label(label.to_owned())
            }
            "mask" => Self::Mask(paths(text, given()?)?),
            "unmask" if given()?.eq_ignore_ascii_case("all") => Self::Unmask(Unmask::All),
            "unmask" => Self::Unmask(Unmask::Paths(paths(text, given()?)?)),
            "systempaths" if given()? == "unconfined" => Self::Unmask(Unmask::All),
            "systempaths" => return Err(wrong("systempaths takes unconfined")),
            // Docker's own for `--security-opt disable` of old.
            "disable" if value.is_none() => Self::Label("disable".to_owned()),
            _ => return Err(OptionError::unknown("security option", key, NAMES)),
        })
    }
}

/// Absolute paths joined by colons.
fn paths(text: &str, value: &str) -> Result<Vec<PathBuf>, OptionError> {
    value
        .split(':')
        .map(|path| {
            if path.starts_with('/') && !path.contains('\0') {
                let path = clean(Path::new(path));
                if path != Path::new("/") {
                    return Ok(path);
                }
            }
            Err(OptionError::syntax(
                WHAT,
                text,
                "expected absolute paths joined by colons, as /proc/kcore:/proc/keys",
            ))
        })
        .collect()
}

impl SecurityOptions {
    /// What a container has that asks for nothing.
    pub fn usual(&self) -> Vec<&str> {
        match &self.usual_capabilities {
            Some(usual) => usual.iter().map(String::as_str).collect(),
            None => DEFAULT_CAPABILITIES.to_vec(),
        }
    }

    /// What is asked for beyond Docker's default, by the user or by the configuration.
    pub fn asked_for(&self) -> impl Iterator<Item = &str> {
        let usual = self.usual_capabilities.iter().flatten().map(String::as_str);
        let beyond = usual.filter(|name| !DEFAULT_CAPABILITIES.contains(name) && !self.drops(name));
        self.cap_add.iter().map(String::as_str).chain(beyond)
    }

    fn drops(&self, name: &str) -> bool {
        self.cap_drop.iter().any(|dropped| dropped == name || dropped == "ALL")
    }

    /// Takes one `--security-opt`; reads the profile that `seccomp=FILE` names.
    pub fn apply(&mut self, option: SecurityOpt) -> Result<(), OptionError> {
        match option {
            SecurityOpt::SeccompDefault => self.seccomp = SeccompMode::Default,
            SecurityOpt::SeccompUnconfined => self.seccomp = SeccompMode::Unconfined,
            SecurityOpt::SeccompFile(path) => self.seccomp = SeccompMode::Profile(read_profile(&path)?),
            SecurityOpt::NoNewPrivileges(on) => self.no_new_privileges = on,
            SecurityOpt::Mask(paths) => self.mask.extend(paths),
            SecurityOpt::Unmask(Unmask::All) => self.unmask = Unmask::All,
            SecurityOpt::Unmask(Unmask::Paths(more)) => {
                if let Unmask::Paths(paths) = &mut self.unmask {
                    paths.extend(more);
                }
            }
            SecurityOpt::Apparmor(profile) => self.apparmor = Some(profile),
            SecurityOpt::Label(label) => self.label.push(label),
        }
        Ok(())
    }
}

/// The text of a profile; which of its rules hold is found when the container is made.
fn read_profile(path: &Path) -> Result<String, OptionError> {
    let failed = |source| OptionError::Read { what: "seccomp profile", path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = String::new();
    file.take(PROFILE_LIMIT + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > PROFILE_LIMIT {
        return Err(failed(std::io::Error::from(std::io::ErrorKind::FileTooLarge)));
    }
    // Read here once more than needed, because here its name is known.
    if let Err(conex_seccomp::Error::Profile(error)) = conex_seccomp::Profile::parse(&text) {
        return Err(OptionError::Line {
            path: path.to_owned(),
            // One that is about the whole has no line of its own.
            line: error.line().max(1),
            why: format!("not a seccomp profile: {error}"),
        });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        use SecurityOpt as Opt;
        for (text, expected) in [
            ("no-new-privileges", Opt::NoNewPrivileges(true)),
            ("no-new-privileges:true", Opt::NoNewPrivileges(true)),
            ("no-new-privileges=false", Opt::NoNewPrivileges(false)),
            ("seccomp=unconfined", Opt::SeccompUnconfined),
            ("seccomp:unconfined", Opt::SeccompUnconfined),
            ("seccomp=builtin", Opt::SeccompDefault),
            ("seccomp=/etc/a=b.json", Opt::SeccompFile("/etc/a=b.json".into())),
            ("apparmor=unconfined", Opt::Apparmor("unconfined".into())),
            ("label=disable", Opt::Label("disable".into())),
            ("label=type:spc_t", Opt::Label("type:spc_t".into())),
            ("label:level:s0:c1,c2", Opt::Label("level:s0:c1,c2".into())),
            ("mask=/proc/a:/sys//b/", Opt::Mask(vec!["/proc/a".into(), "/sys/b".into()])),
            ("unmask=ALL", Opt::Unmask(Unmask::All)),
            ("unmask=/proc/*", Opt::Unmask(Unmask::Paths(vec!["/proc/*".into()]))),
            ("systempaths=unconfined", Opt::Unmask(Unmask::All)),
        ] {
            assert_eq!(text.parse::<SecurityOpt>().unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn refusals() {
        for bad in [
            "",
            "=",
            "seccomp",
            "seccomp=",
            "no-new-privileges=maybe",
            "label=x",
            "label=type:",
            "mask=a",
            "mask=/",
            "unmask=",
            "systempaths=confined",
            "apparmor",
            "secomp=unconfined",
        ] {
            assert!(bad.parse::<SecurityOpt>().is_err(), "{bad}");
        }
        let error = "secomp=unconfined".parse::<SecurityOpt>().unwrap_err().to_string();
        assert_eq!(error, r#"unknown security option "secomp" (did you mean "seccomp"?)"#);
    }

    #[test]
    fn a_profile_is_read_once_and_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("profile.json");
        let mut options = SecurityOptions::default();
        let error = options.apply(SecurityOpt::SeccompFile(path.clone())).unwrap_err().to_string();
        assert!(error.starts_with("cannot read seccomp profile"), "{error}");
        std::fs::write(&path, "{\n").unwrap();
        assert!(
            options
                .apply(SecurityOpt::SeccompFile(path.clone()))
                .unwrap_err()
                .to_string()
                .contains("not a seccomp profile")
        );
        std::fs::write(&path, r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#).unwrap();
        options.apply(SecurityOpt::SeccompFile(path.clone())).unwrap();
        assert_eq!(options.seccomp, SeccompMode::Profile(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#.into()));
        std::fs::write(&path, vec![b' '; (1 << 20) + 1]).unwrap();
        assert!(options.apply(SecurityOpt::SeccompFile(path)).is_err());
    }

    #[test]
    fn unmask_all_wins() {
        let mut options = SecurityOptions::default();
        for text in ["unmask=/proc/a", "unmask=/proc/b", "mask=/x", "unmask=all", "unmask=/proc/c"] {
            options.apply(text.parse().unwrap()).unwrap();
        }
        assert_eq!(options.unmask, Unmask::All);
        assert_eq!(options.mask, [PathBuf::from("/x")]);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "(seccomp|label|mask|unmask|systempaths|no-new-privileges)?[=:]?.{0,40}") {
            let _ = text.parse::<SecurityOpt>();
        }
    }
}
