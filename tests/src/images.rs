//! The fixture images, loaded once a build and copied into each test's root.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

use crate::{Conex, finish};

/// The path of a fixture archive: in `CONEX_TEST_IMAGES`, or `shared/images` beside a directory above.
pub fn archive(name: &str) -> Option<PathBuf> {
    let named = std::env::var_os("CONEX_TEST_IMAGES").map(PathBuf::from);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    named
        .into_iter()
        .chain(here.ancestors().skip(2).map(|directory| directory.join("shared/images")))
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

/// Debian's servers, which `cargo xtask test` has made, or which are left of an earlier run.
pub(crate) fn services() -> Option<PathBuf> {
    let named = std::env::var_os("CONEX_TEST_SERVICES_IMAGE").map(PathBuf::from);
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debian-services/debian-services.tar");
    named.or(Some(kept)).filter(|path| path.is_file())
}

/// Brings the image of `archive` into the root of `conex`: by copying a root that holds nothing else, which is
/// made the first time and whenever the binary or the archive has changed.
pub(crate) fn provide(conex: &Conex, archive: &Path) {
    copy(conex, archive, &["load", "--quiet", "--input"], &[]);
}

/// The same of a root filesystem, which becomes the image `name`.
pub(crate) fn provide_root(conex: &Conex, tar: &Path, name: &str) {
    copy(conex, tar, &["import"], &[name]);
}

fn copy(conex: &Conex, archive: &Path, before: &[&str], after: &[&str]) {
    let Some(stem) = archive.file_name() else { panic!("{archive:?} is no file") };
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-images");
    std::fs::create_dir_all(&store).expect("target/test-images");
    let lock = File::create(store.join(stem).with_extension("lock")).expect("lock file");
    let template = store.join(stem);
    let key = key(&[archive, &Conex::binary()]);
    let key_file = store.join(stem).with_extension("key");
    let fresh = || std::fs::read_to_string(&key_file).is_ok_and(|text| text == key);

    flock(&lock, FlockOperation::LockShared).expect("flock");
    if !fresh() {
        flock(&lock, FlockOperation::LockExclusive).expect("flock");
        if !fresh() {
            let _ = std::fs::remove_file(&key_file);
            let _ = std::fs::remove_dir_all(&template);
            make(&template, &[before, &[archive.to_str().expect("a path in UTF-8")], after].concat());
            std::fs::write(&key_file, &key).expect("key file");
        }
        flock(&lock, FlockOperation::LockShared).expect("flock");
        // Another build may have come between the two locks.
        assert!(fresh(), "two builds are being tested at once in one target directory");
    }
    // cp keeps the overlay's extended attributes and whiteouts, which std::fs::copy would not.
    let copied = finish(Command::new("cp").arg("-a").arg(template.join(".")).arg(conex.root()));
    assert_eq!(copied.code, 0, "cp: {}", copied.stderr);
}

fn make(template: &Path, how: &[&str]) {
    let conex = Conex::new();
    conex.ok(how);
    // Unpacks the layers, where creating does that.
    if let Some(image) = conex.images().first() {
        let id = conex.ok(&["create", image, "true"]);
        conex.ok(&["rm", id.trim()]);
    }
    let copied = finish(Command::new("cp").arg("-aT").arg(conex.root()).arg(template));
    assert_eq!(copied.code, 0, "cp: {}", copied.stderr);
}

fn key(files: &[&Path]) -> String {
    let mut hasher = DefaultHasher::new();
    for file in files {
        let metadata = std::fs::metadata(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        (file, metadata.len(), metadata.mtime(), metadata.mtime_nsec()).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}
