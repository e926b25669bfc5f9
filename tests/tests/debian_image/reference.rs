//! What an image holds by the letter of image-spec's layer.md, with GNU tar as the reader of archives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use conex_tests::finish;
use serde_json::Value;

/// Unpacks an OCI archive into `layout` below `scratch`.
pub(crate) fn layout(archive: &Path, scratch: &Path) -> PathBuf {
    let layout = scratch.join("layout");
    fs::create_dir(&layout).expect("a directory");
    let unpacked = finish(Command::new("tar").arg("-C").arg(&layout).arg("-xf").arg(archive));
    assert_eq!(unpacked.code, 0, "{}", unpacked.stderr);
    layout
}

/// The digest of its only manifest.
pub(crate) fn manifest(layout: &Path) -> String {
    json(&layout.join("index.json"))["manifests"][0]["digest"].as_str().expect("a digest").to_owned()
}

/// The digest of its configuration: the image's id.
pub(crate) fn config(layout: &Path) -> String {
    json(&blob(layout, &manifest(layout)))["config"]["digest"].as_str().expect("a digest").to_owned()
}

/// Its layers' blobs, lowest first.
pub(crate) fn layers(layout: &Path) -> Vec<PathBuf> {
    let manifest = json(&blob(layout, &manifest(layout)));
    let layers = manifest["layers"].as_array().expect("a list");
    layers.iter().map(|layer| blob(layout, layer["digest"].as_str().expect("a digest"))).collect()
}

/// Unpacks its layers one over another: a whiteout removes what the layers below have, before
/// anything of its own layer is there.
pub(crate) fn unpack(layout: &Path, rootfs: &Path) {
    fs::create_dir(rootfs).expect("a directory");
    for layer in layers(layout) {
        let listed = finish(Command::new("tar").args(["--quoting-style=literal", "-tzf"]).arg(&layer));
        assert_eq!(listed.code, 0, "{}", listed.stderr);
        for line in listed.stdout.lines() {
            let path = Path::new(line);
            let (Some(name), Some(parent)) = (path.file_name().and_then(|name| name.to_str()), path.parent())
            else {
                continue;
            };
            if name == ".wh..wh..opq" {
                for entry in fs::read_dir(rootfs.join(parent)).expect("it hides a directory") {
                    remove(&entry.expect("an entry").path());
                }
            } else if let Some(hidden) = name.strip_prefix(".wh.") {
                remove(&rootfs.join(parent).join(hidden));
            } else if !line.ends_with('/')
                && rootfs.join(path).symlink_metadata().is_ok_and(|found| found.is_dir())
            {
                // GNU tar removes no directory that something is in.
                remove(&rootfs.join(path));
            }
        }
        let mut tar = Command::new("tar");
        tar.args(["--numeric-owner", "--xattrs", "--xattrs-include=*", "--exclude=.wh.*", "-xzpf"])
            .arg(&layer);
        let unpacked = finish(tar.arg("-C").arg(rootfs));
        assert_eq!(unpacked.code, 0, "{}", unpacked.stderr);
    }
}

fn remove(path: &Path) {
    let is_directory = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    let removed = if is_directory { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.unwrap_or_else(|error| panic!("{} is hidden, and was not there: {error}", path.display()));
}

fn blob(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

fn json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).expect("JSON")
}
