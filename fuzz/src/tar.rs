//! What is done with the bytes of a layer's tar stream: read in both ways, written anew, made into an image. It is refused in one
//! line, or what comes of it is all of one mind: the image gives back the very stream, verifies, and has no file whose contents
//! are not those of an entry.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;

use conex_archive::{Entry, Header, Kind, Limits, Reader, Writer};
use conex_erofs::{Error, Image, MergeLayer, NodeKind, Place, WriteOptions};

use crate::sealed::sealed;

/// Bytes of a file's beginning and of its end that are compared: files may have a terabyte of holes.
const BEGINNING: u64 = 32 << 10;
const END: u64 = 4 << 10;

/// An entry's contents as far as they are compared, after their size.
type Contents = (u64, Vec<u8>);

/// All of it, as it is and, since no change of a header keeps its checksum, with checksums that hold; gives whether any of the
/// two was a layer.
pub(crate) fn tar(bytes: &[u8]) -> bool {
    let sealed = sealed(bytes);
    let is_layer = layer(bytes, &entries(bytes));
    (sealed != bytes && layer(&sealed, &entries(&sealed))) | is_layer
}

/// Reads all entries: their contents run by run have to be what [`Read`] gives. Gives the contents of the files.
fn entries(bytes: &[u8]) -> HashSet<Contents> {
    let mut by_runs = Reader::new(bytes, Limits::default());
    let mut by_bytes = Reader::new(bytes, Limits::default());
    let (mut known, mut readable) = (HashSet::new(), Vec::new());
    loop {
        let (mut entry, mut other) = match (by_runs.next(), by_bytes.next()) {
            (Ok(Some(entry)), Ok(Some(other))) => (entry, other),
            (Ok(None), Ok(None)) => break,
            (Err(error), Err(other)) => {
                assert_eq!(error.to_string(), other.to_string());
                clear(&error.to_string());
                break;
            }
            _ => panic!("read in another way it is another"),
        };
        let header = entry.header().clone();
        assert_eq!(header, *other.header());
        assert!((0..1_000_000_000).contains(&header.mtime.nanoseconds) && header.mode <= 0o7777);
        let (runs, is_whole) = runs(bytes, &mut entry);
        let contents = sample(header.size(), &mut |buffer, from| fill(buffer, from, &runs));
        if header.size() <= BEGINNING {
            let mut read = Vec::new();
            assert_eq!(other.read_to_end(&mut read).is_ok(), is_whole);
            if is_whole {
                assert!(read == contents, "{header:?}: its runs are not its bytes");
                readable.push((header.clone(), read));
            }
        }
        if let Kind::File { size } = header.kind {
            known.insert((size, contents));
        }
    }
    written(&readable);
    known
}

/// The runs of an entry's data, each of which has to stand where it is said to; and whether they end well.
fn runs(bytes: &[u8], entry: &mut Entry<'_, &[u8]>) -> (Vec<(u64, Vec<u8>)>, bool) {
    let extents: Vec<_> = entry.extents().collect();
    let mut end = 0;
    for extent in &extents {
        assert!(extent.offset >= end && extent.length > 0, "{extents:?}");
        end = extent.offset.checked_add(extent.length).expect("extents end");
    }
    assert!(end <= entry.header().size() && extents.first().is_none_or(|first| first.position % 512 == 0));
    let mut runs = Vec::new();
    loop {
        match entry.chunk() {
            Ok(Some(run)) => {
                let extent =
                    extents.iter().rfind(|extent| extent.offset <= run.offset).expect("an extent has it");
                let at = extent.position + (run.offset - extent.offset);
                assert!(bytes[at as usize..].starts_with(run.data), "a run is not where it is said to be");
                runs.push((run.offset, run.data.to_vec()));
            }
            Ok(None) => return (runs, true),
            Err(_) => return (runs, false),
        }
    }
}

/// What the runs have from some place of the file on.
fn fill(buffer: &mut [u8], from: u64, runs: &[(u64, Vec<u8>)]) {
    for (offset, data) in runs {
        let start = from.max(*offset);
        let end = (from + buffer.len() as u64).min(offset + data.len() as u64);
        if start < end {
            let part = &data[(start - offset) as usize..(end - offset) as usize];
            buffer[(start - from) as usize..(end - from) as usize].copy_from_slice(part);
        }
    }
}

/// What can be written of the entries that were read is read as the same.
fn written(entries: &[(Header, Vec<u8>)]) {
    let mut writer = Writer::new(Vec::new());
    let mut expected = Vec::new();
    for (header, contents) in entries {
        match writer.append(header, &contents[..]) {
            Ok(()) => expected.push((header, contents)),
            Err(error) => clear(&error.to_string()),
        }
    }
    let bytes = writer.finish().expect("a vector takes all");
    let mut reader = Reader::new(&bytes[..], Limits::default());
    for (header, contents) in expected {
        let mut entry = reader.next().expect("what was written can be read").expect("it is there");
        let mut header = header.clone();
        if header.kind == Kind::Directory && !header.path.ends_with(b"/") {
            header.path.push(b'/');
        }
        assert_eq!(*entry.header(), header);
        let mut read = Vec::new();
        entry.read_to_end(&mut read).expect("its contents can be read");
        assert!(read == *contents, "{header:?} has other contents");
    }
    assert!(reader.next().expect("its end").is_none());
}

/// Makes an image of it, and looks whether it is whole.
fn layer(bytes: &[u8], contents: &HashSet<Contents>) -> bool {
    let options = WriteOptions { max_metadata: 32 << 10, ..WriteOptions::default() };
    let file = memory();
    let stats = match conex_erofs::write_layer(bytes, &file, &options) {
        Ok(stats) => stats,
        Err(error) => {
            clear(&error.to_string());
            return false;
        }
    };
    let mut stream = Vec::new();
    conex_erofs::tar_of(&file).expect("its record").read_to_end(&mut stream).expect("its stream");
    assert!(stream == bytes, "the image gives another stream");
    assert_eq!(conex_erofs::layer_stats(&file).expect("its record"), stats);
    assert_eq!(conex_erofs::verify_layer(bytes, &file, &options).expect("it verifies"), stats);
    let image = Image::open(&file).expect("it opens");
    let mut walk = image.walk(stats.entries * 4096 + 1);
    let mut names = 0;
    while let Some(visit) = walk.next().expect("all of it can be read") {
        names += 1;
        let node = visit.node();
        image.xattrs(node).expect("its attributes");
        match node.kind() {
            NodeKind::File => {
                let read = sample(node.size(), &mut |buffer, from| {
                    let count = image.read_at(node, buffer, from).expect("its contents");
                    assert_eq!(count, buffer.len());
                });
                assert!(
                    contents.contains(&(node.size(), read)),
                    "no entry has the contents of {:?}",
                    visit.path()
                );
            }
            NodeKind::Symlink => drop(image.link_target(node).expect("its target")),
            _ => {}
        }
    }
    merged(&file, names, &options);
    true
}

/// A layer over itself: nothing comes of it that was not in it.
fn merged(layer: &File, names: u64, options: &WriteOptions) {
    let file = memory();
    let layers = ["a", "b"].map(|name| MergeLayer { image: layer, name });
    match conex_erofs::merge(&layers, &file, options) {
        Ok(_) => {}
        Err(error @ Error::Limit { .. }) => return clear(&error.to_string()),
        Err(Error::Merge { source, .. }) if is_limit(&source) => return clear(&source.to_string()),
        Err(error) => panic!("{error}"),
    }
    let image = Image::open(&file).expect("it opens");
    let length = layer.metadata().expect("a file in memory").len();
    let mut walk = image.walk(names);
    while let Some(visit) = walk.next().expect("all of it can be read") {
        if visit.node().kind() == NodeKind::File {
            for segment in image.segments(visit.node()).expect("its segments") {
                let segment = segment.expect("a segment");
                match segment.place {
                    Place::Hole => {}
                    Place::Device { address, .. } => assert!(address + segment.length <= length),
                    Place::Image { .. } => panic!("{:?} has contents in the merged image", visit.path()),
                }
            }
        }
    }
}

fn is_limit(error: &Error) -> bool {
    matches!(error, Error::Limit { .. } | Error::Archive(conex_archive::Error::Limit { .. }))
}

fn memory() -> File {
    rustix::fs::memfd_create("layer", rustix::fs::MemfdFlags::CLOEXEC).expect("a file in memory").into()
}

/// The beginning and the end of a file.
fn sample(size: u64, read: &mut dyn FnMut(&mut [u8], u64)) -> Vec<u8> {
    let beginning = size.min(BEGINNING);
    let end = size.saturating_sub(END).max(beginning);
    let mut bytes = vec![0; (beginning + size - end) as usize];
    let (first, last) = bytes.split_at_mut(beginning as usize);
    read(first, 0);
    read(last, end);
    bytes
}

/// One line that says something.
fn clear(message: &str) {
    assert!(!message.is_empty() && message.len() < 1500, "{} bytes: {message:.200}", message.len());
    assert!(!message.contains('\n'), "{message:?}");
}
