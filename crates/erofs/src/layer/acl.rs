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

/// The id where nobody is named (`ACL_UNDEFINED_ID`).
const NOBODY: u32 = u32::MAX;

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
            Some(list) => Ok(Some(encoded(&list))),
            None => Err(refused(path, "its default access control list is malformed")),
        },
        _ => Ok(Some(value.to_vec())),
    }
}

/// An entry of a list.
#[derive(Debug, Clone, Copy)]
struct Rule {
    tag: u16,
    permissions: u16,
    /// Of who is named; [`NOBODY`] in all other entries, whatever stands there.
    id: u32,
}

/// The entries, if the list is one that the kernel takes (`posix_acl_valid`): classes in order, one of each owner, group and
/// others, and a mask if anybody is named.
fn entries(value: &[u8]) -> Option<Vec<Rule>> {
    let (header, list) = value.split_at_checked(ACL_HEADER)?;
    if header != ACL_VERSION || !list.len().is_multiple_of(ACL_ENTRY) {
        return None;
    }
    let rule = |entry: &[u8]| {
        let half = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
        let (tag, id) = (half(0), u32::from(half(4)) | u32::from(half(6)) << 16);
        Rule { tag, permissions: half(2), id: if is_named(tag) { id } else { NOBODY } }
    };
    let list: Vec<_> = list.chunks_exact(ACL_ENTRY).map(rule).collect();
    let count = |tag| list.iter().filter(|rule| rule.tag == tag).count();
    let in_order = list.windows(2).all(|pair| pair[0].tag <= pair[1].tag);
    let known = list.iter().all(|rule| {
        let is_tag = [USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER].contains(&rule.tag);
        is_tag && rule.permissions <= 7 && (rule.id != NOBODY || !is_named(rule.tag))
    });
    let named = count(USER) + count(GROUP);
    let whole = [USER_OBJ, GROUP_OBJ, OTHER].iter().all(|&tag| count(tag) == 1);
    let masked = count(MASK) <= 1 && (named == 0 || count(MASK) == 1);
    (list.is_empty() || in_order && known && whole && masked).then_some(list)
}

/// An access list is part of the mode: what chmod says last goes into it (`posix_acl_chmod`).
fn access(value: &[u8], mode: u32) -> Option<Option<Vec<u8>>> {
    let mut list = entries(value)?;
    let is_masked = list.iter().any(|rule| rule.tag == MASK);
    if list.len() <= 3 && !is_masked {
        return Some(None);
    }
    for rule in &mut list {
        let permissions = match rule.tag {
            USER_OBJ => mode >> 6 & 7,
            MASK => mode >> 3 & 7,
            GROUP_OBJ if !is_masked => mode >> 3 & 7,
            OTHER => mode & 7,
            _ => continue,
        };
        rule.permissions = permissions as u16;
    }
    Some(Some(encoded(&list)))
}

fn is_named(tag: u16) -> bool {
    matches!(tag, USER | GROUP)
}

/// As the kernel gives a list back.
fn encoded(list: &[Rule]) -> Vec<u8> {
    let mut value = ACL_VERSION.to_vec();
    for rule in list {
        value.extend(rule.tag.to_le_bytes());
        value.extend(rule.permissions.to_le_bytes());
        value.extend(rule.id.to_le_bytes());
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u16, u16)]) -> Vec<u8> {
        let rule =
            |&(tag, permissions)| Rule { tag, permissions, id: if is_named(tag) { 5 } else { NOBODY } };
        encoded(&entries.iter().map(rule).collect::<Vec<_>>())
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
    fn ids_stand_where_somebody_is_named() {
        let good = list(&[(USER_OBJ, 7), (USER, 6), (GROUP_OBJ, 5), (MASK, 7), (OTHER, 0)]);
        let taken = |value: &[u8]| checked(ACL_DEFAULT, value, 0, true, b"d").ok().flatten();
        let mut odd = good.clone();
        odd[ACL_HEADER + 4] = 9;
        assert_eq!(taken(&odd), Some(good.clone()));
        let mut nobody = good;
        nobody[ACL_HEADER + ACL_ENTRY + 4..][..4].fill(0xff);
        assert_eq!(taken(&nobody), None);
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
