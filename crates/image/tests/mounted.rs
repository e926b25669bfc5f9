//! Layers as EROFS images, mounted together: the same as directories under overlayfs, mounted once, made again when something is
//! missing, gone with the layers.

mod bed;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bed::Bed;
use conex_image::layers::Backend;
use conex_image::{Image, Store};
use conex_tests::unmount_below;

/// A store with mounts; `None`, having said so, where there can be none.
struct Mounted {
    bed: Bed,
    store: Store,
}

impl Mounted {
    fn new() -> Option<Self> {
        if !bed::is_root() {
            return None;
        }
        let bed = Bed::new();
        let store = Store::open_to_run(bed.path("root"), &bed.path("run")).unwrap();
        if let Backend::Directories { why } = store.backend() {
            println!("skipped: {why}");
            return None;
        }
        Some(Self { bed, store })
    }

    fn again(&self) -> Store {
        Store::open_to_run(self.bed.path("root"), &self.bed.path("run")).unwrap()
    }

    /// Loads an archive with one image.
    fn load(&self, archive: &[u8]) -> Image {
        let source = conex_image::Source::Stream { reader: Box::new(archive), name: "stdin".to_owned() };
        let loaded = self.store.load(source, &conex_image::LoadOptions::default(), &conex_image::Silent);
        loaded.unwrap().remove(0).image
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.bed.path(directory)).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount_below(self.bed.directory.path());
    }
}

fn one(lowers: Vec<PathBuf>) -> PathBuf {
    assert_eq!(lowers.len(), 1, "{lowers:?}");
    lowers.into_iter().next().unwrap()
}

/// A line for each file: type, mode, owner, time, links, size, name, contents' digest.
fn listing(root: &Path) -> String {
    let script = "find . -printf '%y %m %U:%G %T@ %n %l %P' \\( -type f -printf ' %s' , -true \\) -printf '\\n' | sort -k7 &&
        find . -type f -print0 | sort -z | xargs -0r sha256sum && getfattr -Rdhm - . 2>/dev/null | grep -v overlay";
    let output = Command::new("sh").args(["-c", script]).current_dir(root).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_image_is_mounted_once_and_again_after_a_reboot() {
    let Some(mounted) = Mounted::new() else { return };
    let image = mounted.load(&bed::stacked(3));
    let path = one(mounted.store.lowers(&image).unwrap());
    assert_eq!(fs::read_to_string(path.join("file2")).unwrap(), "layer 2");
    let mounts =
        || fs::read_to_string("/proc/self/mountinfo").unwrap().matches(path.to_str().unwrap()).count();
    assert_eq!(one(mounted.again().lowers(&image).unwrap()), path);
    assert_eq!(mounts(), 1);
    // After a reboot the run directory is empty.
    unmount_below(mounted.bed.directory.path());
    fs::remove_dir_all(mounted.bed.path("run")).unwrap();
    assert_eq!(one(mounted.again().lowers(&image).unwrap()), path);
    assert_eq!(mounts(), 1);
}

#[test]
fn what_is_missing_is_made_again() {
    let Some(mounted) = Mounted::new() else { return };
    let image = mounted.load(&bed::stacked(3));
    assert_eq!(mounted.names("root/merged").len(), 2, "merged when it was loaded");
    let path = one(mounted.store.lowers(&image).unwrap());
    unmount_below(mounted.bed.directory.path());
    for left in [&["json"][..], &["erofs"], &[]] {
        for name in mounted.names("root/merged") {
            if !left.iter().any(|kind| name.ends_with(kind)) {
                fs::remove_file(mounted.bed.path("root/merged").join(name)).unwrap();
            }
        }
        assert_eq!(one(mounted.store.lowers(&image).unwrap()), path);
        assert_eq!(fs::read_to_string(path.join("file0")).unwrap(), "layer 0");
        unmount_below(mounted.bed.directory.path());
        assert!(mounted.names("root/merged").iter().any(|name| name.ends_with("erofs")), "{left:?}");
    }
    // A layer's image, too: the blob is there.
    let layer = image.document.rootfs.diff_ids[1];
    mounted.store.layers().remove(&layer).unwrap();
    assert_eq!(one(mounted.store.lowers(&image).unwrap()), path);
    assert_eq!(fs::read_to_string(path.join("file1")).unwrap(), "layer 1");
}

#[test]
fn an_image_that_goes_takes_its_mount_along() {
    let Some(mounted) = Mounted::new() else { return };
    let (image, other) = (mounted.load(&bed::stacked(2)), mounted.load(&bed::stacked(4)));
    for image in [&image, &other] {
        one(mounted.store.lowers(image).unwrap());
    }
    // In use, as a container does it: a clone of the mount, which stays.
    let kept = one(mounted.store.lowers(&other).unwrap());
    let open = fs::File::open(kept.join("file3")).unwrap();
    mounted.store.remove(&other.id.to_string(), true, &|_| Vec::new()).unwrap();
    assert_eq!(std::io::read_to_string(open).unwrap(), "layer 3");
    assert!(!kept.exists());
    assert_eq!(mounted.names("root/merged").len(), 2, "the other image has its own");
    assert_eq!(
        fs::read_to_string(one(mounted.store.lowers(&image).unwrap()).join("file1")).unwrap(),
        "layer 1"
    );
    mounted.store.remove(&image.id.to_string(), true, &|_| Vec::new()).unwrap();
    assert_eq!(mounted.names("root/merged"), [""; 0]);
    assert_eq!(mounted.names("root/layers"), [""; 0]);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(mounted.bed.directory.path().to_str().unwrap()), "{mounts}");
}

#[test]
fn a_hundred_layers_are_one_mount() {
    let Some(mounted) = Mounted::new() else { return };
    let image = mounted.load(&bed::stacked(100));
    let path = one(mounted.store.lowers(&image).unwrap());
    assert_eq!(fs::read_dir(&path).unwrap().count(), 101);
    assert_eq!(fs::read_to_string(path.join("same")).unwrap(), "of layer 99");
}

#[test]
fn real_images_are_the_same_either_way() {
    for archive in [bed::alpine(), bed::busybox()].into_iter().flatten() {
        let Some(mounted) = Mounted::new() else { return };
        let directories = Bed::new();
        let theirs = directories.load_path(&archive).unwrap().remove(0).image;
        let ours = mounted.load(&fs::read(&archive).unwrap());
        let lowers = directories.store.lowers(&theirs).unwrap();
        assert_eq!(lowers.len(), 1, "a layer by itself is what overlayfs shows");
        let path = one(mounted.store.lowers(&ours).unwrap());
        let (ours, theirs) = (listing(&path), listing(&lowers[0]));
        assert!(ours.lines().count() > 300);
        assert!(ours == theirs, "{}", first_difference(&ours, &theirs));
    }
}

fn first_difference(ours: &str, theirs: &str) -> String {
    let pair = ours.lines().zip(theirs.lines()).find(|(ours, theirs)| ours != theirs);
    format!("{pair:?}, {} and {} lines", ours.lines().count(), theirs.lines().count())
}

#[test]
fn damage_is_found() {
    use std::os::unix::fs::FileExt;
    let Some(mounted) = Mounted::new() else { return };
    let image = mounted.load(&bed::stacked(3));
    let verified = mounted.store.verify(&image).unwrap();
    assert_eq!((verified.blobs, verified.layers, verified.unchecked), (5, 3, 0));
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    let layer = mounted.store.layers().lower(&image.document.rootfs.diff_ids[1]).unwrap().unwrap();
    let blob = mounted.store.content().path(&image.manifest.layers[2].digest);
    let merged = mounted.names("root/merged").into_iter().find(|name| name.ends_with("erofs")).unwrap();
    let merged = mounted.bed.path("root/merged").join(merged);
    // In the tar stream, behind it, in the superblock: and each time the byte is put back.
    let end = fs::metadata(&layer).unwrap().len();
    let places = [
        (&layer, 4096 + 1024, "layer "),
        (&layer, end - 500, "layer "),
        (&layer, 1030, "layer "),
        (&blob, 7, "blob "),
        (&merged, 1040, "merged"),
    ];
    for (path, at, expected) in places {
        let file = fs::File::options().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x55], at).unwrap();
        let faults = mounted.store.verify(&image).unwrap().faults;
        file.write_all_at(&byte, at).unwrap();
        let [fault] = &faults[..] else { panic!("{} at {at}: {faults:?}", path.display()) };
        assert!(fault.to_string().contains(expected), "{fault}");
    }
    assert!(mounted.store.verify(&image).unwrap().faults.is_empty());
}

/// Its layers are another image's too, so it is not one of them that takes what was made of it along.
#[test]
fn an_image_whose_layers_stay_takes_its_mount_along_too() {
    let Some(mounted) = Mounted::new() else { return };
    let (image, other) = (mounted.load(&bed::stacked(2)), mounted.load(&bed::stacked(4)));
    let kept = one(mounted.store.lowers(&other).unwrap());
    let gone = one(mounted.store.lowers(&image).unwrap());
    mounted.store.remove(&image.id.to_string(), true, &|_| Vec::new()).unwrap();
    assert_eq!((mounted.names("root/layers").len(), mounted.names("root/merged").len()), (4, 2));
    assert!(!gone.exists() && kept.join("file3").exists());
    let mut left = mounted.names("run/images");
    left.sort_unstable();
    let chain = kept.file_name().unwrap().to_str().unwrap();
    assert_eq!(left, [chain, &format!("{chain}.lock"), "backend"]);
}
