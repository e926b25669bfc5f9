//! Layers that nobody would write: few names, so that entries meet each other, and every kind of entry.

#![allow(dead_code, reason = "each test takes what it needs")]

use conex_archive::{Header, Kind, Time, Writer};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// An archive's entries, with the contents of files.
pub(crate) type Entries = Vec<(Header, Vec<u8>)>;

fn name() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        8 => select(&["a", "b", "c", "d", "-", "é"][..]),
        1 => select(&[".wh.a", ".wh.b", ".wh.d"][..]),
        1 => Just(".wh..wh..opq"),
    ]
}

fn path() -> impl Strategy<Value = String> {
    let parts = vec(select(&["a", "b", "c", "d"][..]), 0..3);
    (select(&["", "", "./", "/"][..]), parts, name(), select(&["", "", "", "/"][..])).prop_map(
        |(start, parts, name, end)| {
            let parts: String = parts.iter().map(|part| format!("{part}/")).collect();
            format!("{start}{parts}{name}{end}")
        },
    )
}

fn target() -> impl Strategy<Value = String> {
    select(&["a", "b", "/", "..", "../b", "b/c", "/a/b", ".", "../../d/a", "c", "d/../a/./b"][..])
        .prop_map(str::to_owned)
}

fn kind() -> impl Strategy<Value = (Kind, Vec<u8>)> {
    let file = prop_oneof![
        4 => vec(any::<u8>(), 0..20),
        1 => (0_usize..20_000).prop_map(|length| vec![b'x'; length]),
        1 => select(&[512_usize, 4096, 1024][..]).prop_map(|length| vec![b'y'; length]),
    ];
    prop_oneof![
        6 => file.prop_map(|contents| (Kind::File { size: contents.len() as u64 }, contents)),
        6 => Just((Kind::Directory, vec![])),
        2 => target().prop_map(|target| (Kind::Symlink { target: target.into() }, vec![])),
        2 => path().prop_map(|target| (Kind::HardLink { target: target.into() }, vec![])),
        1 => Just((Kind::Fifo, vec![])),
        1 => select(&[(1, 3), (259, 70_000)][..])
            .prop_map(|(major, minor)| (Kind::CharDevice { major, minor }, vec![])),
        1 => Just((Kind::BlockDevice { major: 7, minor: 1 }, vec![])),
        // A whiteout, said in overlayfs's way.
        1 => Just((Kind::CharDevice { major: 0, minor: 0 }, vec![])),
    ]
}

fn xattrs() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let names = select(&["user.a", "user.b", "trusted.overlay.opaque", "user.overlay.redirect", "user."][..]);
    let value = prop_oneof![vec(any::<u8>(), 0..8), Just(vec![b'v'; 300])];
    let list = proptest::collection::btree_map(names, value, 0..3);
    list.prop_map(|map| map.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

fn entry() -> impl Strategy<Value = (Header, Vec<u8>)> {
    let owner = select(&[0, 1000, 70_000][..]);
    let time = (-3_i64..3, select(&[0, 1, 999_999_999][..]));
    let attributes = prop_oneof![5 => Just(vec![]), 1 => xattrs()];
    // The root directory now and then.
    let path = prop_oneof![20 => path(), 1 => Just("./".to_owned())];
    (path, kind(), 0_u32..0o10000, (owner.clone(), owner), time, attributes).prop_map(
        |(path, (kind, contents), mode, (uid, gid), (seconds, nanoseconds), xattrs)| {
            let mut header = Header::new(path, kind);
            (header.mode, header.uid, header.gid) = (mode, uid, gid);
            header.mtime = Time { seconds, nanoseconds };
            header.xattrs = xattrs;
            (header, contents)
        },
    )
}

/// One layer's entries.
pub(crate) fn entries(most: usize) -> impl Strategy<Value = Entries> {
    vec(entry(), 0..most)
}

/// The archive.
pub(crate) fn tar(entries: &Entries) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (header, contents) in entries {
        writer.append(header, &contents[..]).unwrap();
    }
    writer.finish().unwrap()
}

/// As a person can read it.
pub(crate) fn shown(entries: &Entries) -> String {
    let line = |(header, _): &(Header, Vec<u8>)| format!("{} {:?}", header.path_text(), header.kind);
    entries.iter().map(line).collect::<Vec<_>>().join("\n")
}
