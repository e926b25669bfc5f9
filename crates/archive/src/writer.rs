//! Writes tar streams: plain ustar where a header can hold what there is to say, with PAX records where it cannot.
//!
//! The same entries always give the same bytes: nothing of the clock, the process or the host gets in.

use std::io::{self, Read, Write};

use crate::error::shown;
use crate::{Error, Extent, Header, Kind, Result};

const BLOCK: usize = 512;
/// What ustar's eight- and twelve-byte octal fields hold.
const MAX_ID: u32 = 0o7_777_777;
const MAX_SIZE: u64 = 0o77_777_777_777;

/// Writes a tar stream; [`finish`](Writer::finish) must be called, or the end of the archive is missing.
#[must_use = "the end of the archive is only written by finish()"]
pub struct Writer<W> {
    sink: W,
}

impl<W: Write> Writer<W> {
    /// Starts an archive.
    pub fn new(sink: W) -> Self {
        Self { sink }
    }

    /// Adds an entry, with exactly `header.size()` bytes of contents. A directory's path gets the `/` that it should end in.
    ///
    /// After an error the archive is of no use.
    pub fn append(&mut self, header: &Header, contents: impl Read) -> Result<()> {
        let failed = |source| Error::Write { path: shown(&header.path), source };
        let unfit = |reason| failed(io::Error::new(io::ErrorKind::InvalidInput, reason));
        let mut path = header.path.clone();
        if header.kind == Kind::Directory && !path.ends_with(b"/") {
            path.push(b'/');
        }
        let target = match &header.kind {
            Kind::HardLink { target } | Kind::Symlink { target } => target,
            Kind::Unknown { .. } => return Err(unfit("an entry of unknown type cannot be written")),
            _ => &Vec::new(),
        };
        if path.is_empty() || path.contains(&0) || target.contains(&0) {
            return Err(unfit("an empty name, or one with a NUL, cannot be written"));
        }
        if header.mtime.nanoseconds >= 1_000_000_000 {
            return Err(unfit("a second has no more than 999,999,999 nanoseconds"));
        }
        let mut records = Records::default();
        let (prefix, name) = records.name(&path);
        if target.len() > 100 || !target.is_ascii() {
            records.add(b"linkpath", target);
        }
        let block = block(header, prefix, name, target, &mut records).map_err(unfit)?;
        let written = self.records(&records.0, name).and_then(|()| self.sink.write_all(&block));
        written.map_err(failed)?;
        self.contents(header, contents)
    }

    /// Adds a regular file of which only `extents` are written, in order and apart, each from what `piece` gives; the rest are holes
    /// (GNU's sparse format 1.0, which tar and bsdtar read).
    ///
    /// After an error the archive is of no use.
    pub fn append_sparse<R: Read>(
        &mut self,
        header: &Header,
        extents: &[Extent],
        piece: impl Fn(&Extent) -> R,
    ) -> Result<()> {
        let failed = |source| Error::Write { path: shown(&header.path), source };
        let mut map = format!("{}\n", extents.len());
        for extent in extents {
            map += &format!("{}\n{}\n", extent.offset, extent.length);
        }
        let padding = map.len().wrapping_neg() % BLOCK;
        map.extend(std::iter::repeat_n('\0', padding));
        let base = header.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let mut place = [&b"GNUSparseFile.0/"[..], base].concat();
        place.truncate(100);
        let data: u64 = extents.iter().map(|extent| extent.length).sum();
        let kind = Kind::File { size: map.len() as u64 + data };
        let shell = Header { path: place, kind, xattrs: header.xattrs.clone(), ..*header };
        let mut records = Records::default();
        for (key, value) in [("major", "1"), ("minor", "0"), ("realsize", &header.size().to_string())] {
            records.add(format!("GNU.sparse.{key}").as_bytes(), value.as_bytes());
        }
        records.add(b"GNU.sparse.name", &header.path);
        let block = block(&shell, b"", &shell.path, b"", &mut records)
            .map_err(|reason| failed(io::Error::new(io::ErrorKind::InvalidInput, reason)))?;
        let written = self.records(&records.0, &shell.path).and_then(|()| self.sink.write_all(&block));
        written.and_then(|()| self.sink.write_all(map.as_bytes())).map_err(failed)?;
        for extent in extents {
            let expected = extent.length;
            let found = io::copy(&mut piece(extent).take(expected), &mut self.sink).map_err(failed)?;
            if found != expected {
                return Err(Error::Length { path: shown(&header.path), expected, found });
            }
        }
        self.pad(shell.size()).map_err(failed)
    }

    /// Adds a regular file of mode 0644 with `contents`, owned by root, dated 1970.
    pub fn append_bytes(&mut self, path: &str, contents: &[u8]) -> Result<()> {
        self.append(&Header::new(path, Kind::File { size: contents.len() as u64 }), contents)
    }

    /// Adds a directory of mode 0755, owned by root, dated 1970.
    pub fn append_directory(&mut self, path: &str) -> Result<()> {
        self.append(&Header::new(path, Kind::Directory), io::empty())
    }

    /// Writes the end of the archive, flushes, and gives the sink back.
    pub fn finish(mut self) -> Result<W> {
        let end = self.sink.write_all(&[0; 2 * BLOCK]).and_then(|()| self.sink.flush());
        end.map_err(|source| Error::Write { path: "the end".to_owned(), source })?;
        Ok(self.sink)
    }

    /// The extended header, if there is anything in it.
    fn records(&mut self, records: &[u8], name: &[u8]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let base =
            name.strip_suffix(b"/").unwrap_or(name).rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let mut label = [&b"PaxHeaders.0/"[..], base].concat();
        label.truncate(100);
        let size = records.len() as u64;
        let header = Header::new(label, Kind::File { size });
        let mut raw = fields(&header, b"", &header.path, b"", size);
        raw[156] = b'x';
        seal(&mut raw);
        self.sink.write_all(&raw)?;
        self.sink.write_all(records)?;
        self.pad(size)
    }

    fn contents(&mut self, header: &Header, mut contents: impl Read) -> Result<()> {
        let failed = |source| Error::Write { path: shown(&header.path), source };
        let expected = header.size();
        let found = io::copy(&mut contents.by_ref().take(expected), &mut self.sink).map_err(failed)?;
        let more = if found == expected {
            io::copy(&mut contents.take(1), &mut io::sink()).map_err(failed)?
        } else {
            0
        };
        if found + more != expected {
            return Err(Error::Length { path: shown(&header.path), expected, found: found + more });
        }
        self.pad(expected).map_err(failed)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = size.wrapping_neg() % BLOCK as u64;
        self.sink.write_all(&[0; BLOCK][..padding as usize])
    }
}

/// PAX records in the making.
#[derive(Default)]
struct Records(Vec<u8>);

impl Records {
    /// `<length> <key>=<value>\n`, where the length counts its own digits.
    fn add(&mut self, key: &[u8], value: &[u8]) {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        self.0.extend_from_slice(length.to_string().as_bytes());
        for part in [&b" "[..], key, b"=", value, b"\n"] {
            self.0.extend_from_slice(part);
        }
    }

    /// The path as ustar's prefix and name, or cut to 100 bytes with a record that has it whole.
    fn name<'a>(&mut self, path: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        if path.is_ascii() {
            if path.len() <= 100 {
                return (b"", path);
            }
            // The slash between them is in neither, and the name may not be empty: not the slash at the end.
            let slashes = (1..path.len() - 1).filter(|&index| path[index] == b'/');
            for slash in slashes {
                if slash <= 155 && path.len() - slash - 1 <= 100 {
                    return (&path[..slash], &path[slash + 1..]);
                }
            }
        }
        self.add(b"path", path);
        (b"", &path[..path.len().min(100)])
    }
}

/// The ustar header of an entry; what it cannot hold goes to `records`.
fn block(
    header: &Header,
    prefix: &[u8],
    name: &[u8],
    target: &[u8],
    records: &mut Records,
) -> std::result::Result<[u8; BLOCK], &'static str> {
    let size = header.size();
    if size > MAX_SIZE {
        records.add(b"size", size.to_string().as_bytes());
    }
    for (key, id) in [(&b"uid"[..], header.uid), (b"gid", header.gid)] {
        if id > MAX_ID {
            records.add(key, id.to_string().as_bytes());
        }
    }
    let mtime = header.mtime;
    if mtime.nanoseconds != 0 || !(0..=MAX_SIZE as i64).contains(&mtime.seconds) {
        records.add(b"mtime", time(mtime).as_bytes());
    }
    for (attribute, value) in &header.xattrs {
        if attribute.is_empty() || attribute.contains(&0) || attribute.contains(&b'=') {
            return Err("an extended attribute has a name that no archive can hold");
        }
        records.add(&[b"SCHILY.xattr.", &attribute[..]].concat(), value);
    }
    let mut raw = fields(header, prefix, name, target, size);
    raw[156] = match header.kind {
        Kind::File { .. } | Kind::Unknown { .. } => b'0',
        Kind::HardLink { .. } => b'1',
        Kind::Symlink { .. } => b'2',
        Kind::CharDevice { .. } => b'3',
        Kind::BlockDevice { .. } => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    };
    if let Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } = header.kind {
        if major.max(minor) > MAX_ID {
            return Err("a device has a number that no archive can hold");
        }
        octal(&mut raw[329..337], u64::from(major));
        octal(&mut raw[337..345], u64::from(minor));
    }
    seal(&mut raw);
    Ok(raw)
}

/// All fields but the type and the checksum; a number that does not fit its field is left at its largest.
fn fields(header: &Header, prefix: &[u8], name: &[u8], target: &[u8], size: u64) -> [u8; BLOCK] {
    let mut raw = [0; BLOCK];
    raw[..name.len()].copy_from_slice(name);
    octal(&mut raw[100..108], u64::from(header.mode & 0o7777));
    octal(&mut raw[108..116], u64::from(header.uid.min(MAX_ID)));
    octal(&mut raw[116..124], u64::from(header.gid.min(MAX_ID)));
    octal(&mut raw[124..136], size.min(MAX_SIZE));
    octal(&mut raw[136..148], header.mtime.seconds.clamp(0, MAX_SIZE as i64) as u64);
    let target = &target[..target.len().min(100)];
    raw[157..157 + target.len()].copy_from_slice(target);
    raw[257..265].copy_from_slice(b"ustar\x0000");
    octal(&mut raw[329..337], 0);
    octal(&mut raw[337..345], 0);
    raw[345..345 + prefix.len()].copy_from_slice(prefix);
    raw
}

fn seal(raw: &mut [u8; BLOCK]) {
    raw[148..156].fill(b' ');
    let sum = raw.iter().map(|&byte| u64::from(byte)).sum();
    octal(&mut raw[148..155], sum);
}

/// Digits to the field's last byte but one, which is a NUL.
fn octal(field: &mut [u8], mut number: u64) {
    let (last, digits) = field.split_last_mut().expect("no field is empty");
    *last = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number & 7) as u8;
        number >>= 3;
    }
}

fn time(time: crate::Time) -> String {
    let (sign, seconds, nanoseconds) = match (time.seconds, time.nanoseconds) {
        (seconds, nanoseconds) if seconds >= 0 => ("", seconds.unsigned_abs(), nanoseconds),
        (seconds, 0) => ("-", seconds.unsigned_abs(), 0),
        (seconds, nanoseconds) => ("-", seconds.unsigned_abs() - 1, 1_000_000_000 - nanoseconds),
    };
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Reader, Time};
    use proptest::prelude::*;

    fn round_trip(header: &Header, contents: &[u8]) {
        let mut writer = Writer::new(Vec::new());
        writer.append(header, contents).unwrap();
        let bytes = writer.finish().unwrap();
        assert_eq!(bytes.len() % BLOCK, 0);
        let mut reader = Reader::new(&bytes[..], Limits::default());
        let mut entry = reader.next().unwrap().unwrap();
        let mut expected = header.clone();
        if expected.kind == Kind::Directory && !expected.path.ends_with(b"/") {
            expected.path.push(b'/');
        }
        assert_eq!(*entry.header(), expected);
        let mut found = Vec::new();
        entry.read_to_end(&mut found).unwrap();
        assert_eq!(found, contents);
        assert!(reader.next().unwrap().is_none());
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![8 => 1_u8..=255, 2 => Just(b'/'), 8 => b'a'..=b'z'];
        proptest::collection::vec(byte, 1..300)
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::File { size: 0 }),
            name().prop_map(|target| Kind::HardLink { target }),
            name().prop_map(|target| Kind::Symlink { target }),
            Just(Kind::Directory),
            Just(Kind::Fifo),
            (0..=MAX_ID, 0..=MAX_ID).prop_map(|(major, minor)| Kind::CharDevice { major, minor }),
            (0..=MAX_ID, 0..=MAX_ID).prop_map(|(major, minor)| Kind::BlockDevice { major, minor }),
        ]
    }

    fn xattrs() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
        let value = proptest::collection::vec(any::<u8>(), 0..80);
        let map = proptest::collection::btree_map("user\\.[a-z]{1,90}", value, 0..4);
        map.prop_map(|map| map.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            path in name(), kind in kind(), mode in 0_u32..=0o7777, uid in 0..u32::MAX, gid in 0..u32::MAX,
            seconds in -10_000_000_000_i64..=100_000_000_000, nanoseconds in 0_u32..1_000_000_000,
            xattrs in xattrs(), contents in proptest::collection::vec(any::<u8>(), 0..2000),
        ) {
            let is_file = matches!(kind, Kind::File { .. });
            let contents = if is_file { &contents[..] } else { &[] };
            let kind = if is_file { Kind::File { size: contents.len() as u64 } } else { kind };
            let mtime = Time { seconds, nanoseconds };
            round_trip(&Header { path, kind, mode, uid, gid, mtime, xattrs }, contents);
        }

        #[test]
        fn long_plain_names_need_no_records(parts in proptest::collection::vec("[a-z]{1,40}", 1..8)) {
            let path = parts.join("/");
            round_trip(&Header::new(path, Kind::Directory), b"");
        }
    }

    #[test]
    fn records_count_their_own_digits() {
        for length in 0..1200 {
            let mut records = Records::default();
            records.add(b"k", &vec![b'v'; length]);
            let space = records.0.iter().position(|&byte| byte == b' ').unwrap();
            let said: usize = std::str::from_utf8(&records.0[..space]).unwrap().parse().unwrap();
            assert_eq!(said, records.0.len());
        }
    }

    #[test]
    fn contents_must_be_as_long_as_the_header_says() {
        let header = Header::new("a", Kind::File { size: 3 });
        for (contents, found) in [(&b"ab"[..], 2), (b"abcd", 4)] {
            let error = Writer::new(Vec::new()).append(&header, contents).unwrap_err();
            assert!(
                matches!(error, Error::Length { expected: 3, found: count, .. } if count == found),
                "{error}"
            );
        }
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        for path in ["", "a\0b"] {
            assert!(Writer::new(Vec::new()).append(&Header::new(path, Kind::Fifo), io::empty()).is_err());
        }
        let mut header = Header::new("a", Kind::Fifo);
        header.xattrs.push((b"user.a=b".to_vec(), vec![]));
        assert!(Writer::new(Vec::new()).append(&header, io::empty()).is_err());
    }
}
