//! What paths and names in a layer mean: paths cut down to what can only be a place beneath the destination, whiteouts told
//! from files, and the extended attributes that a layer may set. Everything that a layer can become obeys these.

pub use crate::error::shown;
use crate::{Error, Result};

/// The prefix of names that AUFS, and after it every layer, gives a meaning of their own (image-spec layer.md#whiteouts).
const RESERVED: &[u8] = b".wh.";

/// A path relative to the destination: no empty, `.` or `..` component; nothing at all for the destination itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relative(Vec<u8>);

impl Relative {
    /// Leading slashes are taken off, as every tar does; a `..` is refused wherever it stands, as no tool that makes
    /// layers writes one.
    ///
    /// # Errors
    /// [`Error::Path`] for `..`, a NUL, or a part of more than 255 bytes.
    pub fn new(raw: &[u8]) -> Result<Self> {
        let mut path = Vec::with_capacity(raw.len());
        for component in raw.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(refused(raw, "its path goes up with \"..\"")),
                _ if component.contains(&0) => return Err(refused(raw, "its path has a NUL")),
                _ if component.len() > 255 => {
                    return Err(refused(raw, "a part of its path is longer than 255 bytes"));
                }
                _ => {}
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(component);
        }
        Ok(Self(path))
    }

    /// The parent's path, and the name in it; `None` for the destination itself.
    pub fn split(&self) -> Option<(&[u8], &[u8])> {
        if self.0.is_empty() {
            return None;
        }
        match self.0.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => Some((&self.0[..slash], &self.0[slash + 1..])),
            None => Some((b"", &self.0)),
        }
    }
}

/// What a name in a layer stands for.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// A file of that name.
    File(&'a [u8]),
    /// The name is hidden if it is in a layer below.
    Whiteout(&'a [u8]),
    /// Everything in the directory that is in a layer below is hidden.
    Opaque,
    /// AUFS's own bookkeeping: to be passed over.
    Bookkeeping,
}

impl<'a> Meaning<'a> {
    /// Of the entry `name` in the directory `parent`.
    ///
    /// # Errors
    /// [`Error::Path`] for a whiteout of no name, or what lies in a directory that is named as a whiteout.
    pub fn of(parent: &[u8], name: &'a [u8]) -> Result<Self> {
        let path = || [parent, b"/", name].concat();
        for component in parent.split(|&byte| byte == b'/') {
            if component.starts_with(b".wh..wh.") {
                return Ok(Self::Bookkeeping);
            }
            if component.starts_with(RESERVED) {
                return Err(refused(&path(), "it lies in a directory with a whiteout's name"));
            }
        }
        match name.strip_prefix(RESERVED) {
            None => Ok(Self::File(name)),
            Some(b".wh..opq") => Ok(Self::Opaque),
            Some(rest) if rest.starts_with(RESERVED) => Ok(Self::Bookkeeping),
            Some(b"" | b"." | b"..") => Err(refused(&path(), "it is a whiteout of no name")),
            Some(hidden) => Ok(Self::Whiteout(hidden)),
        }
    }
}

/// Whether a layer may set the attribute. Not `trusted.*` and `security.*`, which are the host's and would steer overlayfs
/// (`trusted.overlay.redirect` leads anywhere) or the host's security modules; nor `user.overlay.*`, which does the same
/// in a user namespace. File capabilities are what images do have, and what the container's own bounding set limits.
pub fn may_set_xattr(name: &[u8]) -> bool {
    match name {
        b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default" => true,
        _ => name.starts_with(b"user.") && !name.starts_with(b"user.overlay."),
    }
}

/// The error of an entry that cannot be taken.
pub fn refused(path: &[u8], reason: &'static str) -> Error {
    Error::Path { path: shown(path), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut_down() {
        for (raw, path) in [
            (&b"./a//b/"[..], &b"a/b"[..]),
            (b"/etc/passwd", b"etc/passwd"),
            (b"./", b""),
            (b"", b""),
            (b"a/./b", b"a/b"),
            (b"..a/b..", b"..a/b.."),
        ] {
            assert_eq!(Relative::new(raw).unwrap().0, path);
        }
        for raw in [&b".."[..], b"../a", b"a/..", b"a/../b", b"/..", b"a\0b", &[b'a'; 256]] {
            assert!(Relative::new(raw).is_err(), "{raw:?}");
        }
    }

    #[test]
    fn names_have_meanings() {
        let of = |name| Meaning::of(b"a", name);
        assert_eq!(of(b"x").unwrap(), Meaning::File(b"x"));
        assert_eq!(of(b".wh.x").unwrap(), Meaning::Whiteout(b"x"));
        assert_eq!(of(b".wh..x").unwrap(), Meaning::Whiteout(b".x"));
        assert_eq!(of(b".wh....").unwrap(), Meaning::Whiteout(b"..."));
        assert_eq!(of(b".wh..wh..opq").unwrap(), Meaning::Opaque);
        assert_eq!(of(b".wh..wh.plnk").unwrap(), Meaning::Bookkeeping);
        assert_eq!(Meaning::of(b".wh..wh.plnk", b"1.2").unwrap(), Meaning::Bookkeeping);
        for bad in [&b".wh."[..], b".wh..", b".wh..."] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
        assert!(Meaning::of(b"a/.wh.b", b"c").is_err());
    }

    #[test]
    fn the_host_keeps_its_own() {
        for name in ["user.x", "security.capability", "system.posix_acl_access"] {
            assert!(may_set_xattr(name.as_bytes()), "{name}");
        }
        for name in [
            "trusted.overlay.opaque",
            "trusted.x",
            "user.overlay.redirect",
            "security.selinux",
            "security.ima",
            "x",
        ] {
            assert!(!may_set_xattr(name.as_bytes()), "{name}");
        }
    }
}
