//! Attributes whose values the kernel itself reads: capabilities and POSIX access control lists. The kernel checks them when
//! they are set on a file; an image is not asked, so it is done here, with the same outcome.

use conex_archive::Result;
use conex_archive::names::refused;

const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";

/// Bytes of a list's header and of each entry (`<linux/posix_acl_xattr.h>`): the version; tag, permissions, id.
const ACL_HEADER: usize = 4;
const ACL_ENTRY: usize = 8;
const ACL_VERSION: [u8; 4] = [2, 0, 0, 0];

const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// The value as a file of this mode has it in the end; `None` if it says no more than the mode, and so is not kept.
pub(super) fn checked(
    name: &[u8],
    value: &[u8],
    mode: u32,
    is_directory: bool,
    path: &[u8],
) -> Result<Option<Vec<u8>>> {
    match name {
        b"security.capability" => match (value.len(), value.get(3)) {
            // Revision 2, and 3 with the root of a user namespace (capabilities(7)).
            (20, Some(2)) | (24, Some(3)) => Ok(Some(value.to_vec())),
            _ => Err(refused(path, "its capabilities are malformed")),
        },
        ACL_ACCESS => {
            access(value, mode).ok_or_else(|| refused(path, "its access control list is malformed"))
        }
        ACL_DEFAULT if !is_directory => {
            Err(refused(path, "a default access control list is for directories"))
        }
        ACL_DEFAULT => match entries(value) {
            Some(list) if list.is_empty() => Ok(None),
            Some(_) => Ok(Some(value.to_vec())),
            None => Err(refused(path, "its default access control list is malformed")),
        },
        _ => Ok(Some(value.to_vec())),
    }
}

/// Tag and permissions of each entry, if the list is one that the kernel takes (`posix_acl_valid`): classes in order, one
/// of each owner, group and others, and a mask if anybody is named.
fn entries(value: &[u8]) -> Option<Vec<(u16, u16)>> {
    let (header, list) = value.split_at_checked(ACL_HEADER)?;
    if header != ACL_VERSION || !list.len().is_multiple_of(ACL_ENTRY) {
        return None;
    }
    let entry =
        |entry: &[u8]| (u16::from_le_bytes([entry[0], entry[1]]), u16::from_le_bytes([entry[2], entry[3]]));
    let list: Vec<_> = list.chunks_exact(ACL_ENTRY).map(entry).collect();
    let count = |tag| list.iter().filter(|(other, _)| *other == tag).count();
    let in_order = list.windows(2).all(|pair| pair[0].0 <= pair[1].0);
    let known = list.iter().all(|&(tag, permissions)| {
        [USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER].contains(&tag) && permissions <= 7
    });
    let named = count(USER) + count(GROUP);
    let whole = [USER_OBJ, GROUP_OBJ, OTHER].iter().all(|&tag| count(tag) == 1);
    let masked = count(MASK) <= 1 && (named == 0 || count(MASK) == 1);
    (list.is_empty() || in_order && known && whole && masked).then_some(list)
}

/// An access list is part of the mode: what chmod says last goes into it (`posix_acl_chmod`).
fn access(value: &[u8], mode: u32) -> Option<Option<Vec<u8>>> {
    let list = entries(value)?;
    let is_masked = list.iter().any(|&(tag, _)| tag == MASK);
    if list.len() <= 3 && !is_masked {
        return Some(None);
    }
    let mut value = value.to_vec();
    for (entry, (tag, _)) in value[ACL_HEADER..].chunks_exact_mut(ACL_ENTRY).zip(list) {
        let permissions = match tag {
            USER_OBJ => mode >> 6 & 7,
            MASK => mode >> 3 & 7,
            GROUP_OBJ if !is_masked => mode >> 3 & 7,
            OTHER => mode & 7,
            _ => continue,
        };
        entry[2..4].copy_from_slice(&(permissions as u16).to_le_bytes());
    }
    Some(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u16, u16)]) -> Vec<u8> {
        let mut value = ACL_VERSION.to_vec();
        for (tag, permissions) in entries {
            value.extend(tag.to_le_bytes());
            value.extend(permissions.to_le_bytes());
            value.extend(5_u32.to_le_bytes());
        }
        value
    }

    #[test]
    fn lists_take_the_mode() {
        let named = list(&[(USER_OBJ, 7), (USER, 6), (GROUP_OBJ, 5), (MASK, 7), (OTHER, 0)]);
        let changed = list(&[(USER_OBJ, 6), (USER, 6), (GROUP_OBJ, 5), (MASK, 4), (OTHER, 4)]);
        let taken = |value: &[u8]| checked(ACL_ACCESS, value, 0o644, false, b"f").unwrap();
        assert_eq!(taken(&named), Some(changed));
        assert_eq!(taken(&list(&[(USER_OBJ, 7), (GROUP_OBJ, 5), (OTHER, 0)])), None);
    }

    #[test]
    fn what_the_kernel_refuses_is_refused() {
        for bad in [
            &b""[..],
            b"\x01\0\0\0",
            &list(&[(USER_OBJ, 7)]),
            &list(&[(USER_OBJ, 7), (USER, 7), (GROUP_OBJ, 5), (OTHER, 0)]),
            &list(&[(USER_OBJ, 7), (OTHER, 0), (GROUP_OBJ, 5)]),
            &list(&[(USER_OBJ, 8), (GROUP_OBJ, 5), (OTHER, 0)]),
        ] {
            assert!(checked(ACL_ACCESS, bad, 0o644, false, b"f").is_err(), "{bad:?}");
        }
        assert!(checked(b"security.capability", &[0; 20], 0o644, false, b"f").is_err());
        assert!(
            checked(ACL_DEFAULT, &list(&[(USER_OBJ, 7), (GROUP_OBJ, 5), (OTHER, 0)]), 0, false, b"f")
                .is_err()
        );
    }
}
