//! Archives that end early, or are none.

use std::io::Write;

use conex_archive::{Compression, Compressor, Error, Header, Kind, Limits, Writer, decompress};

use super::bed::*;

#[test]
fn archives_cut_short_are_noticed() {
    let mut writer = Writer::new(Vec::new());
    writer.append_directory("d").unwrap();
    let mut header = Header::new("d/f", Kind::File { size: 1000 });
    header.mtime.nanoseconds = 5;
    writer.append(&header, &[b'x'; 1000][..]).unwrap();
    let tar = writer.finish().unwrap();
    let bed = Bed::new();
    for length in 0..tar.len() {
        let result = bed.unpack(&tar[..length]);
        // Between entries, before the last one's padding, and within the end, an archive may stop: some writers leave
        // out all of these (umoci 0.4). What is missing then is nothing that anyone would see.
        let end = tar.len() - 1024;
        let is_boundary = [0, 512, end - 24, end, end + 512].contains(&length);
        assert_eq!(result.is_ok(), is_boundary, "{length}: {result:?}");
        if let Err(error) = result {
            assert!(matches!(error, Error::Truncated { .. }), "{length}: {error}");
        }
    }
    let lone = [vec![0; 512], tar].concat();
    assert!(matches!(bed.unpack(&lone), Err(Error::Header { .. })));
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    let bed = Bed::new();
    for bytes in [&b"<html>"[..], &[b'x'; 2000], b"{}"] {
        let error = bed.unpack(bytes).unwrap_err();
        assert!(matches!(error, Error::Header { .. } | Error::Truncated { .. }), "{error}");
    }
    let mut tar = archive(&[("f", FILE)]);
    tar[3] ^= 1;
    let error = bed.unpack(&tar).unwrap_err().to_string();
    assert!(error.contains("checksum is wrong") && error.contains("byte 0"), "{error}");
    assert!(matches!(decompress(&b"\xfd7zXZ\0..."[..]), Err(Error::Compression("xz"))));
    assert!(matches!(decompress(&b"BZh91AY..."[..]), Err(Error::Compression("bzip2"))));
    let mut gzip = Compressor::new(Vec::new(), Compression::Gzip).unwrap();
    gzip.write_all(&tar).unwrap();
    let gzip = gzip.finish().unwrap();
    let error = bed.unpack_with(decompress(&gzip[..gzip.len() - 9]).unwrap(), Limits::default()).unwrap_err();
    assert!(matches!(error, Error::Read { .. } | Error::Header { .. }), "{error}");
}

#[test]
fn control_characters_do_not_reach_a_message() {
    let error = Bed::new().entries(&[("../\x1b[31m\nx", FILE)]).unwrap_err().to_string();
    assert!(!error.contains(['\x1b', '\n']), "{error:?}");
}
