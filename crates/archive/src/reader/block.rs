//! The 512-byte header block: the fields of V7, ustar (POSIX.1-1988), GNU and star, and their numbers.

use super::source::BLOCK;

/// Where a field stands in the block.
type Field = std::ops::Range<usize>;

const NAME: Field = 0..100;
const MODE: Field = 100..108;
const UID: Field = 108..116;
const GID: Field = 116..124;
const SIZE: Field = 124..136;
const MTIME: Field = 136..148;
const CHECKSUM: Field = 148..156;
const TYPE: usize = 156;
const LINK: Field = 157..257;
const MAGIC: Field = 257..263;
const VERSION: Field = 263..265;
const DEV_MAJOR: Field = 329..337;
const DEV_MINOR: Field = 337..345;
const PREFIX: Field = 345..500;
const STAR_PREFIX: Field = 345..476;
const STAR_TRAILER: Field = 508..512;
const GNU_SPARSE: usize = 386;
const GNU_EXTENDED: usize = 482;
const GNU_REAL_SIZE: Field = 483..495;

/// Bytes of one offset-and-length pair in the old GNU sparse format.
const SPARSE_PAIR: usize = 24;

/// A header whose checksum holds.
pub(super) struct Block<'a>(&'a [u8; BLOCK]);

impl<'a> Block<'a> {
    /// Checks the checksum; the sum may have been made of signed bytes, as some old writers did.
    pub(super) fn verify(raw: &'a [u8; BLOCK]) -> Result<Self, &'static str> {
        let stored = octal(&raw[CHECKSUM]).ok_or("its checksum is no number")?;
        let (mut unsigned, mut signed) = (0_i64, 0_i64);
        for (index, &byte) in raw.iter().enumerate() {
            let byte = if CHECKSUM.contains(&index) { b' ' } else { byte };
            unsigned += i64::from(byte);
            signed += i64::from(byte as i8);
        }
        if stored == unsigned || stored == signed { Ok(Self(raw)) } else { Err("its checksum is wrong") }
    }

    pub(super) fn type_byte(&self) -> u8 {
        self.0[TYPE]
    }

    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(&self.0[NAME]);
        let prefix = match (&self.0[MAGIC], &self.0[STAR_TRAILER]) {
            (b"ustar\0", b"tar\0") => text(&self.0[STAR_PREFIX]),
            (b"ustar\0", _) => text(&self.0[PREFIX]),
            _ => b"",
        };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.0[LINK]).to_vec()
    }

    pub(super) fn mode(&self) -> Result<u32, &'static str> {
        // Some writers keep the file type in here too.
        number(&self.0[MODE]).map(|mode| (mode & 0o7777) as u32).ok_or("its mode is no number")
    }

    pub(super) fn uid(&self) -> Result<u32, &'static str> {
        owner(number(&self.0[UID])).ok_or("its uid is no number of a user")
    }

    pub(super) fn gid(&self) -> Result<u32, &'static str> {
        owner(number(&self.0[GID])).ok_or("its gid is no number of a group")
    }

    pub(super) fn size(&self) -> Result<u64, &'static str> {
        unsigned(&self.0[SIZE]).ok_or("its size is no number")
    }

    pub(super) fn mtime(&self) -> Result<i64, &'static str> {
        number(&self.0[MTIME]).ok_or("its mtime is no number")
    }

    pub(super) fn device(&self) -> Result<(u32, u32), &'static str> {
        let part = |field: Field| unsigned(&self.0[field]).and_then(|number| u32::try_from(number).ok());
        part(DEV_MAJOR).zip(part(DEV_MINOR)).ok_or("its device number is no number")
    }

    /// The file's size with its holes, of an old GNU sparse entry.
    pub(super) fn real_size(&self) -> Result<u64, &'static str> {
        unsigned(&self.0[GNU_REAL_SIZE]).ok_or("its real size is no number")
    }

    /// The first segments of an old GNU sparse entry, and whether a block with more follows.
    pub(super) fn sparse(&self, segments: &mut Vec<(u64, u64)>) -> Result<bool, &'static str> {
        if (&self.0[MAGIC], &self.0[VERSION]) != (b"ustar ", b" \0") {
            return Err("it is a GNU sparse file without GNU's magic");
        }
        pairs(&self.0[GNU_SPARSE..GNU_SPARSE + 4 * SPARSE_PAIR], segments)?;
        Ok(self.0[GNU_EXTENDED] != 0)
    }
}

/// The segments of a sparse extension block, and whether another follows.
pub(super) fn sparse_extension(
    raw: &[u8; BLOCK],
    segments: &mut Vec<(u64, u64)>,
) -> Result<bool, &'static str> {
    pairs(&raw[..21 * SPARSE_PAIR], segments)?;
    Ok(raw[21 * SPARSE_PAIR] != 0)
}

fn pairs(bytes: &[u8], segments: &mut Vec<(u64, u64)>) -> Result<(), &'static str> {
    for pair in bytes.chunks_exact(SPARSE_PAIR) {
        if pair[0] == 0 {
            break;
        }
        let (offset, length) = pair.split_at(SPARSE_PAIR / 2);
        segments.push(unsigned(offset).zip(unsigned(length)).ok_or("its sparse map holds no numbers")?);
    }
    Ok(())
}

fn text(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|&byte| byte == 0).unwrap_or(field.len())]
}

/// A uid or gid: -1 is what chown takes for "leave it", so it may not come out of an archive.
fn owner(number: Option<i64>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok()).filter(|&number| number != u32::MAX)
}

fn unsigned(field: &[u8]) -> Option<u64> {
    number(field).and_then(|number| u64::try_from(number).ok())
}

/// Octal digits, or GNU's base 256: the first bit set, then a big-endian number in two's complement.
fn number(field: &[u8]) -> Option<i64> {
    match field.split_first() {
        Some((&first, rest)) if first & 0x80 != 0 => {
            let start =
                if first & 0x40 != 0 { i64::from((first | 0x80) as i8) } else { i64::from(first & 0x3f) };
            rest.iter().try_fold(start, |number, &byte| {
                number.checked_mul(256).and_then(|number| number.checked_add(i64::from(byte)))
            })
        }
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<i64> {
    let digits = text(field.trim_ascii_start().trim_start_with_nul()).trim_ascii();
    digits.iter().try_fold(0_i64, |number, &digit| match digit {
        b'0'..=b'7' => number.checked_mul(8).map(|number| number + i64::from(digit - b'0')),
        _ => None,
    })
}

trait TrimNul {
    fn trim_start_with_nul(&self) -> &[u8];
}

impl TrimNul for [u8] {
    /// Go's writer pads some empty fields in front with NULs; its reader trims them, and so do all in this world.
    fn trim_start_with_nul(&self) -> &[u8] {
        let start = self.iter().position(|&byte| byte != 0 && byte != b' ').unwrap_or(self.len());
        &self[start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"77777777777\0", Some(0o77777777777)),
            (b"12345678", None),
            (b"-1\0", None),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(number(field), value, "{field:?}");
        }
        assert_eq!(unsigned(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
        assert_eq!(owner(Some(i64::from(u32::MAX))), None, "chown would leave the owner as it is");
    }
}
