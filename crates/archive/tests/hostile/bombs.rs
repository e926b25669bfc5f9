//! Too much of anything: sizes, entries, names, headers, holes, zeros.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;

use conex_archive::{Compression, Compressor, Error, Limits, decompress};

use super::bed::*;

#[test]
fn sizes_beyond_the_limits_are_refused() {
    let limits = || Limits { max_file: 1 << 20, max_bytes: 4 << 20, ..Limits::default() };
    let huge = raw(b"f", b'0', b"77777777777", |_| {});
    assert_limit(Bed::new().unpack_with(&huge[..], limits()), "size of a file");
    let huge = raw(b"f", b'0', b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", |_| {});
    assert_limit(Bed::new().unpack(&huge), "size of a file");
    let negative = raw(b"f", b'0', b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", |_| {});
    assert!(matches!(Bed::new().unpack(&negative), Err(Error::Header { .. })));
    let huge = [pax(b'x', &[("size", "9223372036854775807")]), raw(b"f", b'0', b"0", |_| {})].concat();
    assert_limit(Bed::new().unpack(&huge), "size of a file");
    // What an unknown entry or the rest of the stream says and has counts too.
    let unknown = raw(b"f", b'Z', b"77777777777", |_| {});
    let endless = || unknown.chain(io::repeat(7));
    assert_limit(Bed::new().unpack_with(endless(), limits()), "uncompressed size");
    let endless = [0; 1024].chain(io::repeat(0));
    assert_limit(Bed::new().unpack_with(endless, limits()), "uncompressed size");
}

#[test]
fn many_of_anything_are_refused() {
    let limits = || Limits { max_entries: 100, ..Limits::default() };
    let names: Vec<_> = (0..101).map(|number| number.to_string()).collect();
    let entries: Vec<_> = names.iter().map(|name| (name.as_str(), FILE)).collect();
    assert_limit(Bed::new().unpack_with(&archive(&entries)[..], limits()), "number of its entries");
    let deep = ["d"; 200].join("/");
    assert_limit(
        Bed::new().unpack_with(&archive(&[(&deep, FILE), ("f", FILE)])[..], limits()),
        "number of its entries",
    );
    let long = ["d"; 2100].join("/");
    assert_limit(Bed::new().entries(&[(&long, FILE)]), "length of a path");
    assert_limit(Bed::new().entries(&[("l", symlink(&long))]), "length of a path");
    assert_path(Bed::new().entries(&[(&"n".repeat(256), FILE)]), "longer than 255");
    let bed = Bed::new();
    bed.entries(&[(&["d"; 2000].join("/"), FILE)]).unwrap();
}

#[test]
fn extended_headers_are_bounded() {
    let value = "v".repeat(2 << 20);
    let entry = raw(b"f", b'0', b"0", |_| {});
    let big = [pax(b'x', &[("comment", &value)]), entry.clone()].concat();
    assert_limit(Bed::new().unpack(&big), "extended header");
    for kind in [b'x', b'g', b'L', b'K'] {
        let declared = raw(b"pax", kind, b"77777777777", |_| {});
        assert_limit(Bed::new().unpack(&declared), "extended header");
    }
    let names: Vec<_> = (0..3000).map(|number| format!("SCHILY.xattr.user.{number}")).collect();
    let records: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
    let flood = [pax(b'x', &records), entry.clone()].concat();
    assert!(matches!(Bed::new().unpack(&flood), Err(Error::Pax { .. })));
    for record in [("path", "/etc/x"), ("linkpath", "x"), ("size", "512"), ("SCHILY.xattr.user.x", "x")] {
        let global = [pax(b'g', &[record]), entry.clone(), vec![0; 1024]].concat();
        assert!(matches!(Bed::new().unpack(&global), Err(Error::Pax { .. })), "{record:?}");
    }
    let global = [pax(b'g', &[("comment", "a commit"), ("mtime", "5")]), entry, vec![0; 1024]].concat();
    let bed = Bed::new();
    bed.unpack(&global).unwrap();
    assert_eq!(fs::metadata(bed.dest("f")).unwrap().mtime(), 5);
}

#[test]
fn ids_that_chown_would_ignore_are_refused() {
    let entry = raw(b"f", b'0', b"0", |block| block[108..116].copy_from_slice(b"\x80\0\0\0\xff\xff\xff\xff"));
    assert!(matches!(Bed::new().unpack(&entry), Err(Error::Header { .. })));
    let entry = [pax(b'x', &[("gid", "4294967295")]), raw(b"f", b'0', b"0", |_| {})].concat();
    assert!(matches!(Bed::new().unpack(&entry), Err(Error::Pax { .. })));
}

/// 10 GiB, in each of the ways to say so.
#[test]
fn sparse_bombs_take_no_disk() {
    const SIZE: u64 = 10 << 30;
    let size = SIZE.to_string();
    let old = raw(b"f", b'S', b"0", |block| {
        block[257..265].copy_from_slice(b"ustar  \0");
        block[483..495].copy_from_slice(format!("{SIZE:012o}").as_bytes());
    });
    let version = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")];
    let mut data = b"1\n10737418239\n1\n".to_vec();
    data.resize(512, 0);
    data.push(b'x');
    data.resize(1024, 0);
    let one = [
        pax(b'x', &[version[0], version[1], ("GNU.sparse.name", "f"), ("GNU.sparse.realsize", &size)]),
        raw(b"GNUSparseFile.0/f", b'0', b"00000001001", |_| {}),
        data,
    ];
    let zero =
        [pax(b'x', &[("GNU.sparse.size", &size), ("GNU.sparse.map", "0,0")]), raw(b"f", b'0', b"0", |_| {})];
    for tar in [old, one.concat(), zero.concat()] {
        let bed = Bed::new();
        let stats = bed.unpack(&[tar.clone(), vec![0; 1024]].concat()).unwrap();
        let stat = fs::metadata(bed.dest("f")).unwrap();
        assert_eq!((stats.bytes, stat.len()), (SIZE, SIZE));
        assert!(stat.blocks() < 64, "{} blocks", stat.blocks());
        assert_limit(
            bed.unpack_with(&tar[..], Limits { max_file: SIZE - 1, ..Limits::default() }),
            "size of a file",
        );
    }
}

/// A file of zeros, small as long as it is compressed.
#[test]
fn zero_bombs_take_no_disk() {
    const SIZE: u64 = 128 << 20;
    let mut compressor = Compressor::new(Vec::new(), Compression::Zstd).unwrap();
    compressor.write_all(&raw(b"f", b'0', format!("{SIZE:011o}").as_bytes(), |_| {})).unwrap();
    io::copy(&mut io::repeat(0).take(SIZE + 1024), &mut compressor).unwrap();
    let bomb = compressor.finish().unwrap();
    assert!(bomb.len() < 64 << 10);
    let bed = Bed::new();
    bed.unpack_with(decompress(&bomb[..]).unwrap(), Limits::default()).unwrap();
    let stat = fs::metadata(bed.dest("f")).unwrap();
    assert_eq!(stat.len(), SIZE);
    assert!(stat.blocks() < 1024, "{} blocks", stat.blocks());
}

#[test]
fn sparse_maps_that_make_no_sense_are_refused() {
    let map = |size: &str, map: &str, data: usize| {
        let size = [("GNU.sparse.size", size), ("GNU.sparse.map", map)];
        let stored = format!("{data:011o}");
        let padded = vec![b'x'; data.next_multiple_of(512)];
        [pax(b'x', &size), raw(b"f", b'0', stored.as_bytes(), |_| {}), padded, vec![0; 1024]].concat()
    };
    Bed::new().unpack(&map("100", "1,2,50,3", 5)).unwrap();
    for tar in [
        map("100", "1,2,50,3", 4),
        map("100", "1,2,50,3", 6),
        map("100", "50,3,1,2", 5),
        map("100", "1,5,3,1", 6),
        map("4", "1,5", 5),
        map("100", "1,2,3", 5),
        map("100", "18446744073709551615,5", 5),
        map("100", "1,18446744073709551615,3,6", 5),
    ] {
        assert!(matches!(Bed::new().unpack(&tar), Err(Error::Sparse { .. })));
    }
    // Of format 1.0: a map that claims to be longer than all memory, one that does not end, one that is no map.
    let version = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "100")];
    for start in [&b"99999999999999\n"[..], b"10\n1\n", b"x\n", b"111111111111111111111111\n", b""] {
        let mut data = start.to_vec();
        data.resize(512, 0);
        let tar = [pax(b'x', &version), raw(b"f", b'0', b"00000001000", |_| {}), data].concat();
        assert!(Bed::new().unpack(&tar).is_err(), "{start:?}");
    }
    let other =
        [pax(b'x', &[("GNU.sparse.major", "9"), ("GNU.sparse.size", "1")]), raw(b"f", b'0', b"0", |_| {})];
    assert!(matches!(Bed::new().unpack(&other.concat()), Err(Error::Sparse { .. })));
    // An old GNU map that goes on for ever.
    let old = raw(b"f", b'S', b"0", |block| {
        block[257..265].copy_from_slice(b"ustar  \0");
        block[482] = 1;
    });
    let mut extension = b"00000000000\0".repeat(42);
    extension.resize(512, 1);
    let endless = old.chain(Endless { bytes: extension, at: 0 });
    assert_limit(
        Bed::new().unpack_with(endless, Limits { max_segments: 1000, ..Limits::default() }),
        "sparse segments",
    );
}

/// The same bytes again and again.
struct Endless {
    bytes: Vec<u8>,
    at: usize,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in &mut *buffer {
            *byte = self.bytes[self.at % self.bytes.len()];
            self.at += 1;
        }
        Ok(buffer.len())
    }
}
