//! PAX extended headers (POSIX.1-2001, pax "Extended Header"): records `<length> <key>=<value>\n`, and the keys of GNU
//! tar, star and libarchive that matter to a layer.

use crate::Time;

/// Extended attributes of one entry. The kernel lists no more than 64 KiB of names (`XATTR_LIST_MAX`).
const MAX_XATTRS: usize = 1024;

/// What the records of one header, or of a global and a local one together, say.
#[derive(Debug, Clone, Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<Time>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: Sparse,
    /// libarchive writes each attribute twice; its own form counts only where the common one is missing.
    libarchive: Vec<(Vec<u8>, Vec<u8>)>,
}

/// GNU's three sparse formats in PAX: 0.0 (pairs of records), 0.1 (one record), 1.0 (a map in the data).
#[derive(Debug, Clone, Default)]
pub(super) struct Sparse {
    pub(super) version: (u32, u32),
    pub(super) name: Option<Vec<u8>>,
    pub(super) real_size: Option<u64>,
    /// Offsets and lengths in turn.
    pub(super) map: Option<Vec<u64>>,
}

impl Pax {
    /// Adds the records of one header; later records win.
    pub(super) fn parse(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            let (record, rest) = split(bytes)?;
            bytes = rest;
            let equals = record.iter().position(|&byte| byte == b'=').ok_or("a record has no '='")?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            if key.is_empty() || key.contains(&0) {
                return Err("a record has no proper key".to_owned());
            }
            self.take(key, value)
                .ok_or_else(|| format!("the value of {} is not acceptable", crate::error::shown(key)))?;
            if self.xattrs.len() + self.libarchive.len() > 2 * MAX_XATTRS {
                return Err(format!("an entry has more than {MAX_XATTRS} extended attributes"));
            }
        }
        for (name, value) in std::mem::take(&mut self.libarchive) {
            if !self.xattrs.iter().any(|(known, _)| *known == name) {
                self.xattrs.push((name, value));
            }
        }
        Ok(())
    }

    /// Whether anything is set that only one entry can own: a global header with it would let each parser cut the
    /// archive differently. (Nor attributes: nobody writes those, and each entry would have to carry them.)
    pub(super) fn names_one_entry(&self) -> bool {
        let data = self.size.is_some() || self.sparse.is_set();
        data || self.path.is_some() || self.link.is_some() || !self.xattrs.is_empty()
    }

    /// One record; `None` if its value is not acceptable. An empty value takes back what a global header said.
    fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key {
            b"path" => self.path = name(value)?,
            b"linkpath" => self.link = name(value)?,
            b"size" => self.size = optional(value, decimal)?,
            b"uid" => self.uid = optional(value, owner)?,
            b"gid" => self.gid = optional(value, owner)?,
            b"mtime" => self.mtime = optional(value, time)?,
            b"GNU.sparse.major" => self.sparse.version.0 = u32::try_from(decimal(value)?).ok()?,
            b"GNU.sparse.minor" => self.sparse.version.1 = u32::try_from(decimal(value)?).ok()?,
            b"GNU.sparse.name" => self.sparse.name = name(value)?,
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => self.sparse.real_size = Some(decimal(value)?),
            b"GNU.sparse.map" => {
                let numbers = value.split(|&byte| byte == b',').filter(|number| !number.is_empty());
                self.sparse.map = Some(numbers.map(decimal).collect::<Option<_>>()?);
            }
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                let map = self.sparse.map.get_or_insert_default();
                if map.len().is_multiple_of(2) != (key == b"GNU.sparse.offset") {
                    return None;
                }
                map.push(decimal(value)?);
            }
            _ => {
                if let Some(attribute) = key.strip_prefix(b"SCHILY.xattr.") {
                    set(&mut self.xattrs, xattr_name(attribute.to_vec())?, value.to_vec());
                } else if let Some(attribute) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                    set(&mut self.libarchive, xattr_name(percent(attribute)?)?, base64(value)?);
                }
            }
        }
        Some(())
    }
}

impl Sparse {
    /// Whether the entry is a sparse file in one of the three formats.
    pub(super) fn is_set(&self) -> bool {
        self.map.is_some() || self.version != (0, 0)
    }
}

/// The first record without its length and newline, and what follows.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let space = bytes.iter().take(20).position(|&byte| byte == b' ').ok_or("a record has no length")?;
    let length = decimal(&bytes[..space]).and_then(|length| usize::try_from(length).ok());
    let length = length.ok_or("a record's length is no number")?;
    if length <= space + 1 || length > bytes.len() {
        return Err("a record's length leads out of the header".to_owned());
    }
    let (record, rest) = bytes.split_at(length);
    let record = record[space + 1..].strip_suffix(b"\n").ok_or("a record does not end in a newline")?;
    Ok((record, rest))
}

fn set(list: &mut Vec<(Vec<u8>, Vec<u8>)>, name: Vec<u8>, value: Vec<u8>) {
    match list.iter_mut().find(|(known, _)| *known == name) {
        Some(known) => known.1 = value,
        None => list.push((name, value)),
    }
}

/// An empty value takes the record back.
fn optional<T>(value: &[u8], parse: fn(&[u8]) -> Option<T>) -> Option<Option<T>> {
    if value.is_empty() { Some(None) } else { parse(value).map(Some) }
}

fn name(value: &[u8]) -> Option<Option<Vec<u8>>> {
    optional(value, |value| (!value.contains(&0)).then(|| value.to_vec()))
}

fn xattr_name(name: Vec<u8>) -> Option<Vec<u8>> {
    (!name.is_empty() && !name.contains(&0)).then_some(name)
}

pub(super) fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |number, &digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// A uid or gid; not 4294967295, which chown takes for "leave it".
fn owner(value: &[u8]) -> Option<u32> {
    decimal(value).and_then(|number| u32::try_from(number).ok()).filter(|&number| number != u32::MAX)
}

/// `[-]seconds[.fraction]`, cut to nanoseconds.
fn time(value: &[u8]) -> Option<Time> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let point = value.iter().position(|&byte| byte == b'.').unwrap_or(value.len());
    let seconds = decimal(&value[..point])?;
    let fraction = value.get(point + 1..).unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    let nanoseconds = digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    let before = 0_i64.checked_sub_unsigned(seconds);
    Some(match (negative, nanoseconds) {
        (false, _) => Time { seconds: i64::try_from(seconds).ok()?, nanoseconds },
        (true, 0) => Time { seconds: before?, nanoseconds },
        (true, _) => Time { seconds: before?.checked_sub(1)?, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

fn percent(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for &digit in group {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        let count = match group.len() {
            4 => 3,
            3 => 2,
            2 => 1,
            _ => return None,
        };
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..1 + count]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(records: &[u8]) -> Result<Pax, String> {
        let mut pax = Pax::default();
        pax.parse(records).map(|()| pax)
    }

    /// Records with their lengths counted.
    fn records(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (key, value) in pairs {
            let rest = format!(" {key}={value}\n");
            let length = (1..).find(|length| *length == rest.len() + length.to_string().len()).unwrap();
            bytes.extend(format!("{length}{rest}").into_bytes());
        }
        bytes
    }

    #[test]
    fn good_records_are_taken() {
        let bytes =
            records(&[("path", "x"), ("path", "a=b"), ("mtime", "1700000000.123456789"), ("uid", "12")]);
        let pax = parse(&bytes).unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a=b"[..]));
        assert_eq!(pax.mtime, Some(Time { seconds: 1_700_000_000, nanoseconds: 123_456_789 }));
        assert_eq!(pax.uid, Some(12));
    }

    #[test]
    fn attributes_are_bounded() {
        let names: Vec<_> =
            (0..=2 * MAX_XATTRS).map(|number| format!("SCHILY.xattr.user.{number}")).collect();
        let pairs: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        assert!(parse(&records(&pairs)).unwrap_err().contains("extended attributes"));
    }

    #[test]
    fn bad_records_are_refused() {
        for bad in [
            &b"9999 path=a\n"[..],
            b"0 path=a\n",
            b"8 path=a\n",
            b"10 path=a\nx",
            b"7 path\n",
            b"5 =a\n",
            b"path=a\n",
            b"18446744073709551616 path=a\n",
        ] {
            assert!(parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        for pair in [("size", "-1"), ("uid", "4294967295"), ("path", "a\0"), ("GNU.sparse.numbytes", "1")] {
            assert!(parse(&records(&[pair])).unwrap_err().contains(pair.0), "{pair:?}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(time(b"-1.5"), Some(Time { seconds: -2, nanoseconds: 500_000_000 }));
        assert_eq!(time(b"-1"), Some(Time { seconds: -1, nanoseconds: 0 }));
        assert_eq!(time(b"1.0000000019"), Some(Time { seconds: 1, nanoseconds: 1 }));
        assert_eq!(time(b"-9223372036854775808"), Some(Time { seconds: i64::MIN, nanoseconds: 0 }));
        for bad in [b"9223372036854775808", b"-9223372036854775809", b"-9223372036854775808.1"] as [&[u8]; 3]
        {
            assert_eq!(time(bad), None, "{bad:?}");
        }
        for bad in [&b""[..], b".5", b"1.x", b"99999999999999999999", b"--1"] {
            assert_eq!(time(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn libarchive_attributes_count_where_the_common_form_is_missing() {
        let pairs = [
            ("LIBARCHIVE.xattr.user.a", "MQ"),
            ("LIBARCHIVE.xattr.user.%62", "MjI="),
            ("SCHILY.xattr.user.a", "!"),
        ];
        let pax = parse(&records(&pairs)).unwrap();
        assert_eq!(pax.xattrs, [(b"user.a".to_vec(), b"!".to_vec()), (b"user.b".to_vec(), b"22".to_vec())]);
        assert_eq!(base64(b"AAEC/w=="), Some(vec![0, 1, 2, 255]));
    }
}
