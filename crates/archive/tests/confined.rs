//! Root's unpacking happens where there is nothing but the destination.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;

use conex_archive::{UnpackOptions, Writer, unpack};

/// Looks around from the thread that reads it.
struct Spy<'a> {
    archive: &'a [u8],
    seen: Vec<String>,
    namespace: Option<std::path::PathBuf>,
}

impl Read for Spy<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.seen =
            std::fs::read_dir("/")?.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        self.namespace = std::fs::read_link("/proc/self/ns/mnt").ok();
        self.archive.read(buffer)
    }
}

#[test]
fn the_destination_is_all_there_is() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut archive = Writer::new(Vec::new());
    archive.append_bytes("only", b"this").unwrap();
    let archive = archive.finish().unwrap();
    let destination = std::fs::File::open(directory.path()).unwrap();
    let mounts = || std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let (before, here) = (mounts(), std::env::current_dir().unwrap());
    let mut spy = Spy { archive: &archive, seen: Vec::new(), namespace: None };
    unpack(&mut spy, destination.as_fd(), &UnpackOptions::default()).unwrap();
    // The last look was behind the file.
    assert_eq!((spy.seen, spy.namespace), (vec!["only".to_owned()], None));
    // Nothing of it is left, and nothing is to be seen of it from here.
    assert_eq!((mounts(), std::env::current_dir().unwrap()), (before, here));
    assert!(Path::new("/proc/self").exists());
    assert_eq!(std::fs::read(directory.path().join("only")).unwrap(), b"this");
}
