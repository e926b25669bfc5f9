//! A destination with something beside it that must never change, and the means to build archives byte by byte.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use conex_archive::{Error, Header, Kind, Limits, UnpackOptions, UnpackStats, Writer, unpack};

use super::tree::{Node, look};

/// A destination, and a directory beside it that must never change.
pub(crate) struct Bed {
    pub(crate) directory: tempfile::TempDir,
    outside: BTreeMap<PathBuf, (Node, i64)>,
}

impl Bed {
    pub(crate) fn new() -> Self {
        // In memory where there is one: thousands of small trees come and go.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        fs::create_dir_all(directory.path().join("outside/directory")).unwrap();
        fs::write(directory.path().join("outside/secret"), "secret").unwrap();
        fs::create_dir(directory.path().join("dest")).unwrap();
        let mut bed = Self { directory, outside: BTreeMap::new() };
        bed.outside = bed.look_outside();
        bed
    }

    /// Everything beside the destination, with the time of the last change of any kind.
    pub(crate) fn look_outside(&self) -> BTreeMap<PathBuf, (Node, i64)> {
        let root = self.directory.path();
        let mut names: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["dest", "outside"]);
        let nodes = look(&root.join("outside")).into_iter();
        nodes
            .map(|(path, node)| {
                let stat = fs::symlink_metadata(root.join("outside").join(&path)).unwrap();
                (path, (node, stat.ctime() * 1_000_000_000 + stat.ctime_nsec() + stat.nlink() as i64))
            })
            .collect()
    }

    pub(crate) fn dest(&self, path: &str) -> PathBuf {
        self.directory.path().join("dest").join(path)
    }

    pub(crate) fn unpack_with(&self, tar: impl Read + Send, limits: Limits) -> Result<UnpackStats, Error> {
        let options = UnpackOptions { limits, ..UnpackOptions::default() };
        let result = unpack(tar, File::open(self.dest("")).unwrap().as_fd(), &options);
        assert!(self.look_outside() == self.outside, "something outside the destination has changed");
        result
    }

    pub(crate) fn unpack(&self, tar: &[u8]) -> Result<UnpackStats, Error> {
        self.unpack_with(tar, Limits::default())
    }

    /// Unpacks entries; those with contents `x` are files with one byte.
    pub(crate) fn entries(&self, entries: &[(&str, Kind)]) -> Result<UnpackStats, Error> {
        self.unpack(&archive(entries))
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.dest(path)).unwrap_or_else(|error| format!("{error}"))
    }
}

pub(crate) const FILE: Kind = Kind::File { size: 1 };

pub(crate) fn symlink(target: &str) -> Kind {
    Kind::Symlink { target: target.into() }
}

pub(crate) fn hard_link(target: &str) -> Kind {
    Kind::HardLink { target: target.into() }
}

pub(crate) fn archive(entries: &[(&str, Kind)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (path, kind) in entries {
        let header = Header::new(*path, kind.clone());
        let contents = if header.size() == 1 { &b"x"[..] } else { b"" };
        writer.append(&header, contents).unwrap();
    }
    writer.finish().unwrap()
}

/// One header block with its fields as given, and a right checksum.
pub(crate) fn raw(name: &[u8], kind: u8, size: &[u8], change: impl FnOnce(&mut [u8; 512])) -> Vec<u8> {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..107].copy_from_slice(b"0000644");
    block[124..124 + size.len()].copy_from_slice(size);
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    change(&mut block);
    seal(&mut block);
    block.to_vec()
}

pub(crate) fn seal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    block[154] = 0;
}

pub(crate) fn pax(kind: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let mut data = Vec::new();
    for (key, value) in records {
        let rest = format!(" {key}={value}\n");
        let length = (1..).find(|length| *length == rest.len() + length.to_string().len()).unwrap();
        data.extend(format!("{length}{rest}").into_bytes());
    }
    let mut bytes = raw(b"pax", kind, format!("{:011o}", data.len()).as_bytes(), |_| {});
    data.resize(data.len().next_multiple_of(512), 0);
    bytes.extend(data);
    bytes
}

pub(crate) fn assert_path(result: Result<UnpackStats, Error>, reason: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Path { .. }) && error.to_string().contains(reason), "{error}");
}

pub(crate) fn assert_limit(result: Result<UnpackStats, Error>, reason: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Limit { .. }) && error.to_string().contains(reason), "{error}");
}
