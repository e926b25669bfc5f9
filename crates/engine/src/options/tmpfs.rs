//! `--tmpfs /path[:options]`

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{OptionError, parse_size};

/// A tmpfs in the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tmpfs {
    /// Absolute, in the container.
    pub target: PathBuf,
    /// mount(8) options as typed (`size=64m`, `mode=1777`, `exec`); `nosuid,nodev,noexec` come first.
    pub options: Vec<String>,
    /// Given by `--mount`, and not by `--tmpfs`: `inspect` shows the two apart.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub spelt: bool,
}

const WHAT: &str = "--tmpfs";
const FLAGS: [&str; 18] = [
    "ro",
    "rw",
    "exec",
    "noexec",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "sync",
    "async",
    "dirsync",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "strictatime",
    "norelatime",
];
const VALUES: [&str; 7] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];

impl FromStr for Tmpfs {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let (target, options) = match text.split_once(':') {
            Some((target, options)) => (target, options),
            None => (text, ""),
        };
        let target = super::path::target_path(WHAT, text, target)?;
        let options: Vec<_> = options.split(',').filter(|option| !option.is_empty()).collect();
        options.iter().try_for_each(|option| check(text, option))?;
        Ok(Self { target, options: options.into_iter().map(str::to_owned).collect(), spelt: false })
    }
}

/// An option as the kernel takes it: it knows fewer units of size than Docker.
pub(crate) fn kernel_option(option: &str) -> String {
    let bytes = option.strip_prefix("size=").and_then(|size| parse_size("tmpfs size", size).ok());
    bytes.map_or_else(|| option.to_owned(), |bytes| format!("size={bytes}"))
}

fn check(text: &str, option: &str) -> Result<(), OptionError> {
    let Some((key, value)) = option.split_once('=') else {
        if FLAGS.contains(&option) {
            return Ok(());
        }
        return Err(OptionError::unknown("tmpfs option", option, FLAGS.into_iter().chain(VALUES)));
    };
    let wrong = |expected: &str| OptionError::syntax(WHAT, text, format!("{key} must be {expected}"));
    match key {
        // Half of memory, say: the kernel's own form.
        "size" if value.strip_suffix('%').is_some_and(|percent| percent.parse::<u8>().is_ok()) => {}
        "size" => drop(parse_size("tmpfs size", value)?),
        "mode" => {
            let octal =
                !value.is_empty() && value.len() <= 5 && value.bytes().all(|b| matches!(b, b'0'..=b'7'));
            if !octal || u32::from_str_radix(value, 8).is_ok_and(|mode| mode > 0o7777) {
                return Err(wrong("octal permissions, as 1777"));
            }
        }
        "uid" | "gid" => {
            value.parse::<u32>().map_err(|_| wrong("a number"))?;
        }
        "nr_inodes" | "nr_blocks" => {
            parse_size("tmpfs option", value)?;
        }
        "mpol"
            if !value.is_empty()
                && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-' | b'=')) => {}
        "mpol" => return Err(wrong("a NUMA policy, as interleave")),
        _ => return Err(OptionError::unknown("tmpfs option", key, FLAGS.into_iter().chain(VALUES))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let tmpfs: Tmpfs = "/run".parse().unwrap();
        assert_eq!(tmpfs, Tmpfs { target: "/run".into(), ..Tmpfs::default() });
        let tmpfs: Tmpfs = "/run:rw,exec,size=64m,mode=1777,uid=5,nr_inodes=1k".parse().unwrap();
        assert_eq!(tmpfs.options, ["rw", "exec", "size=64m", "mode=1777", "uid=5", "nr_inodes=1k"]);
        let tmpfs: Tmpfs = "/run/:size=50%".parse().unwrap();
        assert_eq!(tmpfs, Tmpfs { target: "/run".into(), options: vec!["size=50%".into()], spelt: false });
    }

    #[test]
    fn refusals() {
        for bad in [
            "",
            "run",
            "/",
            "/a/..",
            "/x:size=",
            "/x:size=-1",
            "/x:mode=9",
            "/x:mode=99999",
            "/x:bind",
            "/x:uid=a",
            "/x:source=/etc",
            "/x:mode=17777",
        ] {
            assert!(bad.parse::<Tmpfs>().is_err(), "{bad}");
        }
        let error = "/x:noexc".parse::<Tmpfs>().unwrap_err().to_string();
        assert_eq!(error, r#"unknown tmpfs option "noexc" (did you mean "noexec"?)"#);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "(/x:)?(size=|mode=|uid=|nr_inodes=|mpol=)?.{0,40}") {
            let _ = text.parse::<Tmpfs>();
        }
    }
}
