//! Generated layers and stacks of them: an image is what unpacking makes of the same stream, and merged images are what overlayfs
//! shows of the unpacked layers.

mod bed;
mod generated;

use std::path::PathBuf;

use bed::tree::look_less;
use bed::{Bed, Layer, Root, Tree, assert_same, can_mount, fsck, look, read};
use conex_erofs::Image;
use generated::{Entries, entries, shown, tar};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

fn runner(cases: u32) -> TestRunner {
    let cases = std::env::var("CONEX_TEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(cases);
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

/// A layer both ways; `None` if both refuse it.
fn both(bed: &Bed, name: &str, tar: &[u8]) -> Option<(Layer, PathBuf)> {
    let written = bed.write(&format!("{name}.erofs"), tar);
    let unpacked = bed.unpack(name, tar);
    match (written, unpacked) {
        (Ok(layer), Ok((path, stats))) => {
            assert_eq!(layer.stats, stats);
            Some((layer, path))
        }
        (Err(_), Err(_)) => None,
        (written, unpacked) => {
            panic!("written: {:?}, unpacked: {unpacked:?}", written.map(|layer| layer.stats))
        }
    }
}

#[test]
fn a_layer_is_what_unpacking_makes() {
    if !can_mount() {
        return;
    }
    let taken = std::cell::Cell::new(0);
    let property = |entries: Entries| {
        let bed = Bed::new();
        let tar = tar(&entries);
        if let Some((layer, unpacked)) = both(&bed, "layer", &tar) {
            taken.set(taken.get() + 1);
            let what = shown(&entries);
            let expected = less_chance(look(&unpacked));
            assert_same(&less_chance(Root::of(&layer.path, &[]).look()), &expected, &what);
            assert_same(&less_chance(read(&Image::open(&layer.file).unwrap())), &expected, &what);
            conex_erofs::verify_layer(&tar[..], &layer.file, &Default::default()).unwrap();
        }
        Ok(())
    };
    runner(200).run(&entries(12), property).unwrap_or_else(|error| panic!("{error}"));
    assert!(taken.get() > 20, "only {} layers were taken", taken.get());
}

#[test]
fn merged_layers_are_what_overlayfs_shows() {
    if !can_mount() {
        return;
    }
    let property = |stack: Vec<Entries>| {
        let bed = Bed::new();
        let (mut layers, mut lowers, mut what) = (Vec::new(), Vec::new(), String::new());
        for (number, entries) in stack.iter().enumerate() {
            if let Some((layer, path)) = both(&bed, &format!("layer-{number}"), &tar(entries)) {
                layers.push(layer);
                lowers.push(path);
                what = format!("{what}\nlayer {number}:\n{}", shown(entries));
            }
        }
        if layers.is_empty() {
            return Ok(());
        }
        let merged = bed.mount_merged(&layers).look();
        assert_same(&merged, &overlaid(&bed, &lowers), &what);
        Ok(())
    };
    // Small ones, as a refused entry takes its whole layer along.
    let stacks = proptest::collection::vec(entries(6), 1..5);
    runner(200).run(&stacks, property).unwrap_or_else(|error| panic!("{error}"));
}

/// What overlayfs shows of directories, lowest first, as the root filesystem of a container has them.
fn overlaid(bed: &Bed, lowers: &[PathBuf]) -> Tree {
    // Overlayfs does not look for an opaque mark on a root directory; whoever mounts it has to.
    let is_opaque = |lower: &&PathBuf| {
        let mut value = [0; 2];
        rustix::fs::getxattr(lower.as_path(), "trusted.overlay.opaque", &mut value).is_ok()
    };
    let first = lowers.iter().rposition(|lower| is_opaque(&lower)).unwrap_or(0);
    let (empty, _) = bed.unpack("empty", &tar(&vec![])).unwrap();
    // It takes two of them.
    let lowers: Vec<_> = std::iter::once(empty).chain(lowers[first..].iter().cloned()).collect();
    let root = Root::overlay(&lowers);
    // A directory that only one layer has is listed with the whiteouts in it, though none of them can be looked up.
    look_less(&root.path(), |path| std::fs::symlink_metadata(path).is_err())
}

/// The whiteouts of an unpacked layer have a time and an owner by chance, at which overlayfs never looks.
fn less_chance(mut tree: Tree) -> Tree {
    for node in tree.values_mut().filter(|node| (node.mode, node.device) == (0o020_000, 0)) {
        (node.mtime, node.owner) = ((0, 0), (0, 0));
    }
    tree
}

#[test]
fn a_hundred_layers() {
    if !can_mount() {
        return;
    }
    let bed = Bed::new();
    let mut runner = runner(1);
    let strategy = entries(5);
    let (mut layers, mut lowers) = (Vec::new(), Vec::new());
    while layers.len() < 100 {
        let mut entries = strategy.new_tree(&mut runner).unwrap().current();
        let contents = format!("file of layer {}", layers.len()).into_bytes();
        let kind = conex_archive::Kind::File { size: contents.len() as u64 };
        let own = format!("own-{}", layers.len());
        entries.push((conex_archive::Header::new(own, kind), contents));
        if let Some((layer, path)) = both(&bed, &format!("layer-{}", layers.len()), &tar(&entries)) {
            layers.push(layer);
            lowers.push(path);
        } else {
            std::fs::remove_dir_all(bed.trees.path().join(format!("layer-{}", layers.len()))).unwrap();
        }
    }
    let root = bed.mount_merged(&layers);
    assert_same(&root.look(), &overlaid(&bed, &lowers), "a hundred layers");
    let (path, merged) = bed.merge(&layers);
    let devices: Vec<_> = merged.devices.iter().map(|&index| layers[index].path.clone()).collect();
    let names = Image::open(std::fs::File::open(&path).unwrap()).unwrap().devices().unwrap();
    let expected: Vec<_> = merged.devices.iter().map(|index| format!("{index:064x}").into_bytes()).collect();
    assert_eq!(names.iter().map(|name| name.to_vec()).collect::<Vec<_>>(), expected);
    fsck(&path, &devices);
}

/// A container's root filesystem: the image below, its own layer above.
#[test]
fn a_merged_image_is_a_lower_directory() {
    if !can_mount() {
        return;
    }
    let bed = Bed::new();
    let file = |name: &str| {
        (conex_archive::Header::new(name, conex_archive::Kind::File { size: 5 }), b"image".to_vec())
    };
    let low =
        bed.write("low.erofs", &tar(&vec![file("d/kept"), file("d/hidden"), file("d/removed")])).unwrap();
    let high = bed.write("high.erofs", &tar(&vec![file("d/.wh.hidden"), file("d/new")])).unwrap();
    let image = bed.mount_merged(&[low, high]);
    let [upper, work] = ["upper", "work"].map(|name| {
        let path = bed.images.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    });
    let root = match Root::writable(&image.path(), &upper, &work) {
        Ok(root) => root,
        // Before Linux 6.15 no layer of an overlay may be a detached mount.
        Err(error) => {
            println!("skipped: overlayfs does not take a detached mount: {error}");
            return;
        }
    };
    let names = || {
        let entries = std::fs::read_dir(root.path().join("d")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["kept", "new", "removed"]);
    std::fs::remove_file(root.path().join("d/removed")).unwrap();
    std::fs::write(root.path().join("d/kept"), "changed").unwrap();
    assert_eq!(names(), ["kept", "new"]);
    assert_eq!(std::fs::read(image.path().join("d/kept")).unwrap(), b"image");
    assert_eq!(std::fs::read(upper.join("d/kept")).unwrap(), b"changed");
}
