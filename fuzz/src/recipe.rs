//! Layers out of a few bytes: links, whiteouts and directories of few names in all orders, which a fuzzer that changes the bytes of
//! an archive comes to late.

use conex_archive::{Header, Kind, Time, Writer};

const NAMES: [&str; 8] = ["a", "b", "c", ".wh.a", ".wh.b", ".wh..wh..opq", ".", "n"];
const TARGETS: [&str; 8] = ["a", "b", "c", "..", ".", "", "n", "a/b"];
const MODES: [u32; 4] = [0o644, 0o755, 0o6711, 0o3770];
const IDS: [u32; 4] = [0, 0, 1000, 70_000];
const TIMES: [i64; 4] = [0, 1_700_000_000, -2, 1 << 40];

/// An archive of an entry for each four bytes: kind and time; path; target; mode, owner and attributes.
pub(crate) fn recipe(bytes: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (number, entry) in bytes.chunks_exact(4).take(64).enumerate() {
        let size = u64::from(entry[0] >> 5);
        let target = || path(TARGETS, entry[2]).into_bytes();
        let kind = match entry[0] & 7 {
            0 | 1 => Kind::File { size },
            2 | 3 => Kind::Directory,
            4 => Kind::Symlink { target: target() },
            5 => Kind::HardLink { target: target() },
            6 => Kind::Fifo,
            _ => Kind::CharDevice { major: size.min(1) as u32, minor: 0 },
        };
        let mut header = Header::new(path(NAMES, entry[1]), kind);
        let pick = |shift: u8| usize::from(entry[3] >> shift & 3);
        header.mode = MODES[pick(0)];
        (header.uid, header.gid) = (IDS[pick(2)], IDS[pick(4)]);
        header.mtime = Time { seconds: TIMES[usize::from(entry[0] >> 3 & 3)], nanoseconds: 5 };
        header.xattrs.extend(match pick(6) {
            0 | 1 => None,
            2 => Some((b"user.a".to_vec(), vec![number as u8])),
            _ => Some((b"system.posix_acl_default".to_vec(), acl())),
        });
        let contents = vec![b'a' + number as u8 % 26; header.size() as usize];
        // What has no name cannot be written.
        let _ = writer.append(&header, &contents[..]);
    }
    writer.finish().expect("a vector takes all")
}

/// One to three names; those of links may begin at the root.
fn path(names: [&str; 8], byte: u8) -> String {
    let (first, second) = (names[usize::from(byte & 7)], names[usize::from(byte >> 3 & 7)]);
    match byte >> 6 {
        0 => first.to_owned(),
        1 => format!("{first}/{second}"),
        2 => format!("{first}/{second}/{first}"),
        _ => format!("/{second}/{first}"),
    }
}

/// One that names somebody.
fn acl() -> Vec<u8> {
    let rule = |tag: u16, id: u32| [&tag.to_le_bytes()[..], &5_u16.to_le_bytes(), &id.to_le_bytes()].concat();
    let rules = [(1, u32::MAX), (2, 7), (4, u32::MAX), (16, u32::MAX), (32, u32::MAX)];
    [vec![2, 0, 0, 0], rules.map(|(tag, id)| rule(tag, id)).concat()].concat()
}
