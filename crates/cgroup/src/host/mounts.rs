//! The trees from `/proc/self/mountinfo`, wherever they are mounted. Pure: text in, host out.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::{Hierarchy, Host, lines};
use crate::error::{Error, Result};

/// The host of the two files' texts.
pub(super) fn host(mounts: &[u8], own: &str) -> Result<Host> {
    let mounts: Vec<Mount> = mounts.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect();
    let mut host = Host::new();
    for (controllers, group) in lines(own) {
        if let Some(hierarchy) = hierarchy(&mounts, &controllers, group) {
            host.insert(hierarchy);
        }
    }
    if host.unified.is_none() && host.v1.is_empty() { Err(Error::NotMounted) } else { Ok(host) }
}

/// A cgroup mount.
struct Mount {
    /// What of the tree is visible: `/`, or a group in a container.
    root: String,
    point: PathBuf,
    /// The super block's options of v1, where the controllers are; none for v2.
    options: Option<String>,
}

impl Mount {
    /// `36 35 0:30 /root /mount/point rw,... [shared:1 ...] - cgroup cgroup rw,memory`
    fn parse(line: &[u8]) -> Option<Self> {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let dash = fields.iter().position(|field| *field == b"-")?;
        let options = match *fields.get(dash + 1)? {
            b"cgroup2" => None,
            b"cgroup" => Some(String::from_utf8_lossy(fields.get(dash + 3)?).into_owned()),
            _ => return None,
        };
        let root = String::from_utf8_lossy(&unescape(fields.get(3)?)).into_owned();
        Some(Self { root, point: PathBuf::from(OsString::from_vec(unescape(fields.get(4)?))), options })
    }

    fn carries(&self, controllers: &[String]) -> bool {
        match &self.options {
            None => controllers.is_empty(),
            Some(options) => {
                !controllers.is_empty()
                    && controllers.iter().all(|name| options.split(',').any(|option| option == name))
            }
        }
    }

    /// `group` as seen from the mount point; nothing when it is not below it.
    fn visible<'a>(&self, group: &'a str) -> Option<&'a str> {
        let below = group.strip_prefix(self.root.trim_end_matches('/'))?;
        match below {
            "" => Some("/"),
            below if below.starts_with('/') && !below.starts_with("/..") => Some(below),
            _ => None,
        }
    }
}

/// The tree of `controllers` (none: v2) with the caller's `group` in it. A mount that shows the caller's group is
/// preferred; from elsewhere (another cgroup namespace) one can only begin at the mount point.
fn hierarchy(mounts: &[Mount], controllers: &[String], group: &str) -> Option<Hierarchy> {
    let carrying = || mounts.iter().filter(|mount| mount.carries(controllers));
    let showing = carrying().find_map(|mount| mount.visible(group).map(|own| (mount, own)));
    let (mount, own) = showing.or_else(|| carrying().next().map(|mount| (mount, "/")))?;
    Some(Hierarchy { mount: mount.point.clone(), controllers: controllers.to_vec(), own: own.to_owned() })
}

/// mountinfo writes blanks, tabs, line ends and backslashes as `\040` and the like.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|digits| *first == b'\\' && digits.iter().all(|digit| matches!(digit, b'0'..=b'7')));
        if let Some(digits) = octal {
            plain
                .push(digits.iter().fold(0u8, |byte, digit| byte.wrapping_mul(8).wrapping_add(digit - b'0')));
            rest = &after[3..];
        } else {
            plain.push(*first);
            rest = after;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_in_names() {
        assert_eq!(unescape(br"/a\040b\134\04"), br"/a b\\04");
    }
}
