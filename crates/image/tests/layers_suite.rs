//! The suite that every store of layers must pass, and those that there are.
//!
//! A new implementation adds itself to [`IMPLEMENTATIONS`].

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use conex_archive::{Header, Kind, Writer};
use conex_image::layers::{Directories, Draft, Images, LayerError, Layers, Prepared};
use conex_image::rootfs::{RootfsRequest, Scratch, mount};
use conex_oci::{DiffId, Digest};

type Open = fn(&Path) -> Box<dyn Layers>;

const IMPLEMENTATIONS: &[(&str, Open)] = &[
    ("directories", |root| Box::new(Directories::open(root).unwrap())),
    ("images", |root| Box::new(Images::open(root).unwrap())),
];

/// What it is about, and the case; each gets a store of its own.
type Case = (&'static str, fn(Open, &Path));

const CASES: &[Case] = &[
    ("what is not there", what_is_not_there),
    ("a layer is made once", a_layer_is_made_once),
    ("a large layer", a_large_layer),
    ("bytes after the archive count", bytes_after_the_archive_count),
    ("another layer than named", another_layer_than_named),
    ("a broken archive", a_broken_archive),
    ("a dropped draft", a_dropped_draft),
    ("many at once", many_at_once),
    ("a killed maker", a_killed_maker),
    ("removal", removal),
    ("removal while others make it", removal_while_others_make_it),
];

#[test]
fn every_implementation_passes() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    for (name, open) in IMPLEMENTATIONS {
        for (case, run) in CASES {
            println!("{name}: {case}");
            let directory = tempfile::tempdir().unwrap();
            run(*open, &directory.path().join("layers"));
        }
    }
}

/// A layer with one file, and its name.
fn layer(contents: &str) -> (DiffId, Vec<u8>) {
    let mut tar = Writer::new(Vec::new());
    tar.append_directory("d").unwrap();
    tar.append_bytes("d/f", contents.as_bytes()).unwrap();
    let tar = tar.finish().unwrap();
    (DiffId(Digest::of(&tar)), tar)
}

fn draft(layers: &dyn Layers, layer: &DiffId) -> Box<dyn Draft> {
    match layers.prepare(layer).unwrap() {
        Prepared::Draft(draft) => draft,
        Prepared::Ready(path) => panic!("there is a layer at {}", path.display()),
    }
}

fn ready(layers: &dyn Layers, layer: &DiffId) -> PathBuf {
    match layers.prepare(layer).unwrap() {
        Prepared::Ready(path) => path,
        Prepared::Draft(_) => panic!("the layer is not there"),
    }
}

/// Nothing of the layer is there, for anyone, nor anything else on disk.
fn assert_nothing(open: Open, root: &Path, layer: &DiffId) {
    let layers = open(root);
    assert_eq!(layers.lower(layer).unwrap(), None);
    assert_eq!(layers.size(layer).unwrap(), None);
    assert_eq!(layers.list().unwrap(), []);
    let left: Vec<_> = fs::read_dir(root).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [""; 0].map(PathBuf::from), "something is left");
}

fn what_is_not_there(open: Open, root: &Path) {
    let (id, _) = layer("x");
    open(root).remove(&id).unwrap();
    assert_nothing(open, root, &id);
}

fn a_layer_is_made_once(open: Open, root: &Path) {
    let layers = open(root);
    let (id, tar) = layer("hello");
    let path = draft(&*layers, &id).fill(&mut &tar[..]).unwrap();
    assert_eq!(layers.lower(&id).unwrap().as_ref(), Some(&path));
    assert_eq!(ready(&*layers, &id), path);
    assert_eq!(ready(&*open(root), &id), path);
    assert_eq!(layers.list().unwrap(), [id]);
    assert_eq!(layers.size(&id).unwrap(), Some(5));
    let (other, tar) = layer("");
    draft(&*layers, &other).fill(&mut &tar[..]).unwrap();
    let mut both = layers.list().unwrap();
    both.sort();
    let mut expected = [id, other];
    expected.sort();
    assert_eq!(both, expected);
}

fn a_large_layer(open: Open, root: &Path) {
    let layers = open(root);
    let (id, tar) = layer(&"0123456789abcde\n".repeat(200_000));
    // Torn in the middle first, and with a byte changed: neither leaves anything.
    let torn = (&tar[..tar.len() / 2]).chain(Torn);
    let error = draft(&*layers, &id).fill(&mut { torn }).unwrap_err().to_string();
    assert!(error.contains("torn"), "{error}");
    let mut changed = tar.clone();
    changed[2_000_000] ^= 1;
    let error = draft(&*layers, &id).fill(&mut &changed[..]).unwrap_err();
    assert!(matches!(error, LayerError::DiffId { .. }), "{error}");
    assert_nothing(open, root, &id);
    draft(&*layers, &id).fill(&mut &tar[..]).unwrap();
    assert_eq!(layers.size(&id).unwrap(), Some(3_200_000));
}

/// A stream that has failed.
struct Torn;

impl Read for Torn {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("torn"))
    }
}

fn bytes_after_the_archive_count(open: Open, root: &Path) {
    let layers = open(root);
    let (id, mut tar) = layer("x");
    tar.extend_from_slice(&[0; 10_240]);
    let padded = DiffId(Digest::of(&tar));
    draft(&*layers, &padded).fill(&mut &tar[..]).unwrap();
    let error = draft(&*layers, &id).fill(&mut &tar[..]).unwrap_err();
    assert!(matches!(error, LayerError::DiffId { .. }), "{error}");
}

fn another_layer_than_named(open: Open, root: &Path) {
    let layers = open(root);
    let (id, tar) = layer("named");
    let (other, other_tar) = layer("other");
    let error = draft(&*layers, &id).fill(&mut &other_tar[..]).unwrap_err();
    assert!(
        matches!(error, LayerError::DiffId { expected, found } if expected == id && found == other),
        "{error}"
    );
    assert_nothing(open, root, &id);
    draft(&*layers, &id).fill(&mut &tar[..]).unwrap();
}

fn a_broken_archive(open: Open, root: &Path) {
    let layers = open(root);
    let (id, tar) = layer("x");
    let mut broken = tar.clone();
    broken[0] ^= 1;
    for bytes in [&tar[..700], &broken] {
        let error = draft(&*layers, &id).fill(&mut &bytes[..]).unwrap_err();
        assert!(matches!(error, LayerError::Unpack { layer, .. } if layer == id), "{error}");
        assert_nothing(open, root, &id);
    }
    draft(&*layers, &id).fill(&mut &tar[..]).unwrap();
}

fn a_dropped_draft(open: Open, root: &Path) {
    let layers = open(root);
    let (id, tar) = layer("x");
    drop(draft(&*layers, &id));
    assert_nothing(open, root, &id);
    draft(&*layers, &id).fill(&mut &tar[..]).unwrap();
}

fn many_at_once(open: Open, root: &Path) {
    const MANY: usize = 8;
    let (id, tar) = layer("x");
    let (made, start) = (AtomicUsize::new(0), Barrier::new(MANY));
    std::thread::scope(|scope| {
        for _ in 0..MANY {
            // A store of its own for each: locks hold between processes too.
            scope.spawn(|| {
                let layers = open(root);
                start.wait();
                let path = match layers.prepare(&id).unwrap() {
                    Prepared::Ready(path) => path,
                    Prepared::Draft(draft) => {
                        made.fetch_add(1, Ordering::Relaxed);
                        assert_eq!(layers.lower(&id).unwrap(), None, "a layer in the making can be seen");
                        draft.fill(&mut &tar[..]).unwrap()
                    }
                };
                assert_eq!(layers.lower(&id).unwrap(), Some(path));
            });
        }
    });
    assert_eq!(made.into_inner(), 1);
}

/// Where the process that [`a_killed_maker`] kills finds its store, and which implementation it is.
const VICTIM: &str = "CONEX_TEST_LAYERS_VICTIM";

/// Not a test of its own: the process that is killed while it makes a layer out of its standard input.
#[test]
fn victim() {
    let Ok(arguments) = std::env::var(VICTIM) else { return };
    let (name, root) = arguments.split_once('=').unwrap();
    let (_, open) = IMPLEMENTATIONS.iter().find(|(known, _)| *known == name).unwrap();
    let (id, _) = layer("x");
    let _ = draft(&*open(Path::new(root)), &id).fill(&mut SayWhenEmpty(io::stdin()));
}

/// Says on standard error that a first part has been read.
struct SayWhenEmpty(io::Stdin);

impl Read for SayWhenEmpty {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        eprintln!("read");
        Ok(count)
    }
}

fn a_killed_maker(open: Open, root: &Path) {
    let (id, tar) = layer("x");
    let (name, _) = IMPLEMENTATIONS.iter().find(|(_, known)| std::ptr::fn_addr_eq(*known, open)).unwrap();
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture"])
        .env(VICTIM, format!("{name}={}", root.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The directory, and half of the file's header.
    let mut stdin = victim.stdin.take().unwrap();
    stdin.write_all(&tar[..700]).unwrap();
    victim.stderr.take().unwrap().read_exact(&mut [0; 5]).unwrap();
    assert_eq!(open(root).lower(&id).unwrap(), None);
    assert_ne!(fs::read_dir(root).unwrap().count(), 0, "the victim is not at work");
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert_nothing(open, root, &id);
    draft(&*open(root), &id).fill(&mut &tar[..]).unwrap();
}

fn removal(open: Open, root: &Path) {
    let layers = open(root);
    let (id, tar) = layer("x");
    for _ in 0..2 {
        let path = draft(&*layers, &id).fill(&mut &tar[..]).unwrap();
        layers.remove(&id).unwrap();
        assert!(!path.exists());
        assert_nothing(open, root, &id);
    }
}

fn removal_while_others_make_it(open: Open, root: &Path) {
    let (id, tar) = layer("x");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let layers = open(root);
                for _ in 0..25 {
                    if let Prepared::Draft(draft) = layers.prepare(&id).unwrap() {
                        draft.fill(&mut &tar[..]).unwrap();
                    }
                    layers.remove(&id).unwrap();
                }
            });
        }
    });
    assert_nothing(open, root, &id);
}

/// Images are mounted together: `tests/mounted.rs`.
#[test]
fn directories_can_be_mounted() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("layers");
    let layers = Directories::open(&root).unwrap();
    let (lower, tar) = layer("lower");
    let lower = draft(&layers, &lower).fill(&mut &tar[..]).unwrap();
    let mut tar = Writer::new(Vec::new());
    tar.append(&Header::new("d/.wh.f", Kind::File { size: 0 }), io::empty()).unwrap();
    tar.append_bytes("d/g", b"upper").unwrap();
    let tar = tar.finish().unwrap();
    let upper = draft(&layers, &DiffId(Digest::of(&tar))).fill(&mut &tar[..]).unwrap();
    let container = root.with_file_name("container");
    fs::create_dir(&container).unwrap();
    let scratch = Scratch::at(&container);
    scratch.create(Some(&upper), (0, 0)).unwrap();
    let root = mount(&RootfsRequest {
        lowers: &[lower, upper],
        upper: &scratch.upper,
        work: &scratch.work,
        volatile: false,
        read_only: false,
        idmap: None,
    })
    .unwrap();
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let open = |path: &str| rustix::fs::openat(root.as_fd(), path, flags, rustix::fs::Mode::empty());
    let mut contents = String::new();
    fs::File::from(open("d/g").unwrap()).read_to_string(&mut contents).unwrap();
    assert_eq!(contents, "upper");
    assert_eq!(open("d/f").unwrap_err(), rustix::io::Errno::NOENT);
}
