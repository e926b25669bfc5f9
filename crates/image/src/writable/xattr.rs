//! Extended attributes: those that a layer may hold, with the numbers of a user namespace turned back.

use rustix::io::Errno;

use super::error::Result;
use super::file::Held;
use super::{IdShift, WritableError};

const CAPABILITY: &[u8] = b"security.capability";

/// The kernel's own bounds (`<linux/limits.h>`): XATTR_LIST_MAX, XATTR_SIZE_MAX.
const LONGEST: usize = 64 << 10;

/// What a layer may set when it is unpacked, and so what is worth packing; the rest is the host's.
pub fn travels(name: &[u8]) -> bool {
    match name {
        CAPABILITY | b"system.posix_acl_access" | b"system.posix_acl_default" => true,
        _ => name.starts_with(b"user.") && !name.starts_with(b"user.overlay."),
    }
}

impl Held {
    /// An attribute's value; `None` without one.
    pub(super) fn xattr(&self, name: &[u8]) -> rustix::io::Result<Option<Vec<u8>>> {
        let mut value = vec![0; 256];
        loop {
            match rustix::fs::getxattr(self.link(), name, &mut value[..]) {
                Ok(length) => {
                    value.truncate(length);
                    return Ok(Some(value));
                }
                Err(Errno::RANGE) if value.len() < LONGEST => value.resize(LONGEST, 0),
                Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// The attributes for an archive, in order of their names.
    pub(super) fn xattrs(&self, path: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let failed = || WritableError::walk("read the extended attributes of", path);
        let mut attributes = Vec::new();
        let marks = self.marks.prefix().as_bytes();
        for name in self.names().map_err(failed())? {
            if name.strip_prefix(marks).is_some_and(|mark| mark == b"redirect" || mark == b"metacopy") {
                // Not by our mounts: what the file holds is not what the container saw.
                return Err(WritableError::unfit(path, "overlayfs was not mounted by this engine"));
            }
            if !travels(&name) {
                continue;
            }
            let Some(value) = self.xattr(&name).map_err(failed())? else { continue };
            let value = match self.ids {
                None => Some(value),
                Some(ids) => ids.attribute_back(&name, value),
            };
            attributes.extend(value.map(|value| (name, value)));
        }
        attributes.sort_unstable();
        Ok(attributes)
    }

    /// Whether nothing of the layers below shows through this directory.
    pub(super) fn is_opaque(&self) -> rustix::io::Result<bool> {
        Ok(self.xattr(self.marks.opaque().as_bytes())?.is_some_and(|value| value == b"y"))
    }

    fn names(&self) -> rustix::io::Result<Vec<Vec<u8>>> {
        let mut list = vec![0; 256];
        loop {
            match rustix::fs::listxattr(self.link(), &mut list[..]) {
                Ok(length) => {
                    list.truncate(length);
                    let names = list.split(|&byte| byte == 0).filter(|name| !name.is_empty());
                    return Ok(names.map(<[u8]>::to_vec).collect());
                }
                Err(Errno::RANGE) if list.len() < LONGEST => list.resize(LONGEST, 0),
                Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
    }
}

impl IdShift {
    /// An attribute of a container's file as the container sees it; `None` for one that says nothing there.
    pub fn attribute_back(self, name: &[u8], value: Vec<u8>) -> Option<Vec<u8>> {
        match name {
            CAPABILITY => capability(value, self),
            name if name.starts_with(b"system.posix_acl") => Some(acl(value, |id| self.back(id))),
            _ => Some(value),
        }
    }

    /// The other way: an attribute for a file of the container's.
    pub fn attribute_forth(self, name: &[u8], value: Vec<u8>) -> Vec<u8> {
        match name {
            CAPABILITY => own_capability(value, self),
            name if name.starts_with(b"system.posix_acl") => acl(value, |id| self.forth(id)),
            _ => value,
        }
    }
}

/// A file capability of revision 2 as one that the namespace's root has set.
fn own_capability(value: Vec<u8>, ids: IdShift) -> Vec<u8> {
    match value.get(..4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes) {
        Some(magic) if magic & 0xff00_0000 == 0x0200_0000 && value.len() == 20 => {
            let magic = (magic & 0x00ff_ffff) | 0x0300_0000;
            [&magic.to_le_bytes()[..], &value[4..], &ids.base.to_le_bytes()].concat()
        }
        _ => value,
    }
}

/// A file capability that a user namespace's root has set (revision 3, with that root's number on the host) as that root
/// sees it (revision 2); `None` for another namespace's, which says nothing outside of it (capabilities(7)).
fn capability(value: Vec<u8>, ids: IdShift) -> Option<Vec<u8>> {
    const REVISION: u32 = 0xff00_0000;
    let word = |at: usize| Some(u32::from_le_bytes(value.get(at..at + 4)?.try_into().ok()?));
    match word(0)? & REVISION {
        0x0300_0000 => {
            if value.len() != 24 || word(20)? != ids.base {
                return None;
            }
            let magic = (word(0)? & !REVISION) | 0x0200_0000;
            Some([&magic.to_le_bytes()[..], &value[4..20]].concat())
        }
        _ => Some(value),
    }
}

/// An access control list (`<linux/posix_acl_xattr.h>`): a version, then entries of tag, permissions and id.
fn acl(mut value: Vec<u8>, shift: impl Fn(u32) -> u32) -> Vec<u8> {
    const USER: u16 = 0x02;
    const GROUP: u16 = 0x08;
    for entry in value.get_mut(4..).unwrap_or_default().chunks_exact_mut(8) {
        if matches!(u16::from_le_bytes([entry[0], entry[1]]), USER | GROUP) {
            let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
            entry[4..8].copy_from_slice(&shift(id).to_le_bytes());
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: IdShift = IdShift { base: 100_000, size: 65_536 };

    #[test]
    fn capabilities_are_turned_back() {
        let mut value = 0x0300_0001_u32.to_le_bytes().to_vec();
        value.extend([7; 16]);
        value.extend(100_000_u32.to_le_bytes());
        let mut plain = 0x0200_0001_u32.to_le_bytes().to_vec();
        plain.extend([7; 16]);
        assert_eq!(capability(value.clone(), IDS), Some(plain.clone()));
        assert_eq!(own_capability(plain.clone(), IDS), value);
        assert_eq!(capability(plain.clone(), IDS), Some(plain));
        value[20] ^= 1;
        assert_eq!(capability(value, IDS), None);
        assert_eq!(capability(vec![1], IDS), None);
    }

    #[test]
    fn lists_name_the_containers_users() {
        let mut value = 2_u32.to_le_bytes().to_vec();
        for (tag, id) in [(1_u16, u32::MAX), (2, 101_000), (8, 100_005)] {
            value.extend(tag.to_le_bytes());
            value.extend(7_u16.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        let back = acl(value.clone(), |id| IDS.back(id));
        assert_eq!(back[8..12], u32::MAX.to_le_bytes());
        assert_eq!(back[16..20], 1000_u32.to_le_bytes());
        assert_eq!(back[24..28], 5_u32.to_le_bytes());
        assert_eq!(acl(vec![1, 2], |id| IDS.back(id)), [1, 2]);
    }
}
