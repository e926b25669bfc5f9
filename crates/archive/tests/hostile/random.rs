//! Attacks in all orders, and archives with changed bytes.

use std::io::{self, Read};

use conex_archive::{Header, Kind, Limits, Reader, Writer};
use proptest::prelude::*;

use super::bed::*;

fn component() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "b",
        "l",
        "..",
        ".",
        "",
        "outside",
        "secret",
        ".wh.a",
        ".wh..wh..opq",
        ".wh.b",
    ])
}

fn path() -> impl Strategy<Value = String> {
    (any::<bool>(), prop::collection::vec(component(), 1..5))
        .prop_map(|(absolute, parts)| format!("{}{}", if absolute { "/" } else { "" }, parts.join("/")))
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => Just(FILE),
        3 => Just(Kind::Directory),
        4 => path().prop_filter("empty", |path| !path.is_empty()).prop_map(|target| symlink(&target)),
        3 => path().prop_map(|target| hard_link(&target)),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::CharDevice { major: 0, minor: 0 }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Links, `..` and whiteouts in all orders: one archive an entry, so that a refused one does not end it.
    #[test]
    fn nothing_leads_out(entries in prop::collection::vec((path(), kind()), 1..12)) {
        let bed = Bed::new();
        for (path, kind) in entries {
            if !path.is_empty() {
                let _ = bed.entries(&[(&path, kind)]);
            }
        }
    }

    /// Real archives with some of their bytes changed, and checksums that hold all the same.
    #[test]
    fn broken_archives_do_no_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut writer = Writer::new(Vec::new());
        let long = format!("{0}/{0}", "n".repeat(120));
        for (path, kind) in [
            ("d", Kind::Directory), ("d/f", FILE), ("d/l", symlink("../../outside/secret")), ("d/h", hard_link("d/l")),
            ("d/.wh.w", Kind::File { size: 0 }), (&long, Kind::Directory), ("fifo", Kind::Fifo),
        ] {
            let mut header = Header::new(path, kind);
            header.mtime.nanoseconds = 1;
            header.xattrs.push((b"user.a".to_vec(), b"b".to_vec()));
            let contents = if header.size() == 1 { &b"x"[..] } else { b"" };
            writer.append(&header, contents).unwrap();
        }
        let mut tar = writer.finish().unwrap();
        tar.extend(pax(b'x', &[("GNU.sparse.size", "100"), ("GNU.sparse.map", "1,2,50,3")]));
        for (index, byte) in &changes {
            let index = index.index(tar.len());
            tar[index] = *byte;
        }
        let sealed: Vec<u8> = tar.chunks(512).flat_map(|block| {
            let mut block = block.to_vec();
            if block[257..].starts_with(b"ustar") {
                seal(&mut block);
            }
            block
        }).collect();
        for tar in [tar, sealed] {
            let bed = Bed::new();
            let _ = bed.unpack_with(&tar[..], Limits { max_file: 1 << 20, ..Limits::default() });
            let mut reader = Reader::new(&tar[..], Limits::default());
            while let Ok(Some(mut entry)) = reader.next() {
                let _ = io::copy(&mut entry.by_ref().take(1 << 16), &mut io::sink());
            }
        }
    }
}
