//! fs-verity: on a file system that has it, what images are mounted from is sealed; a flipped bit on the disk is an error of
//! whoever reads it, another file in a layer's place is refused, and a copied store is sealed again.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use conex_tests::{Conex, needs_root};
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

/// Conex on a disk of its own, an ext4 with fs-verity; an image `it` with the file `data` in it.
struct Disk {
    conex: Conex,
    disk: PathBuf,
    data: Vec<u8>,
}

impl Disk {
    /// `None`, having said so, where there can be none.
    fn new() -> Option<Self> {
        let conex = Conex::new();
        let disk = conex.scratch().join("disk");
        File::create(&disk).unwrap().set_len(96 << 20).unwrap();
        // Small ones have blocks of 1 KiB, below which there is no seal with blocks of 4 KiB.
        let options = ["-q", "-F", "-t", "ext4", "-b", "4096", "-O", "verity"];
        let made = Command::new("mke2fs").args(options).arg(&disk).status();
        if !made.is_ok_and(|status| status.success()) {
            println!("skipped: no mke2fs that makes an ext4 with fs-verity");
            return None;
        }
        let this = Self { conex, disk, data: noise(256 << 10) };
        if !this.mount() {
            println!("skipped: no loop device, or an ext4 that cannot be mounted");
            return None;
        }
        if !this.conex.ok(&["info", "--format", "{{json .DriverStatus}}"]).contains("fs-verity") {
            println!("skipped: the kernel has no fs-verity, or layers are not images here");
            return None;
        }
        let tree = this.conex.scratch().join("tree");
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("data"), &this.data).unwrap();
        let archive = this.conex.scratch().join("it.tar");
        let packed =
            Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&tree).arg(".").status().unwrap();
        assert!(packed.success());
        this.conex.ok(&["import", archive.to_str().unwrap(), "it"]);
        this.conex.ok(&["image", "verify", "it"]);
        Some(this)
    }

    /// Its root directory becomes the disk's.
    fn mount(&self) -> bool {
        let root = self.conex.root();
        let mounted = Command::new("mount").args(["-o", "loop"]).arg(&self.disk).arg(&root).output().unwrap();
        mounted.status.success()
    }

    /// As a reboot would: nothing of it is in memory any more.
    fn unmount(&self) {
        self.conex.run(&["image", "unmount", "it"]);
        conex_tests::unmount_below(&self.conex.run_root());
        let done = Command::new("umount").arg(self.conex.root()).status().unwrap();
        assert!(done.success(), "the disk is busy");
    }

    fn find(&self, directory: &str, name: &str) -> PathBuf {
        let script = format!("find {directory} -name '{name}'");
        let output =
            Command::new("sh").args(["-c", &script]).current_dir(self.conex.root()).output().unwrap();
        let found = String::from_utf8(output.stdout).unwrap();
        assert_eq!(found.lines().count(), 1, "{found}");
        self.conex.root().join(found.trim())
    }

    fn layer(&self) -> PathBuf {
        self.find("layers", "layer.erofs")
    }

    /// The file, read where the image is mounted.
    fn read(&self) -> std::io::Result<Vec<u8>> {
        let path = self.conex.ok(&["image", "mount", "it"]);
        fs::read(Path::new(path.trim()).join("data"))
    }
}

/// Bytes that are nowhere else on the disk.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    std::io::Read::read_exact(&mut File::open("/dev/urandom").unwrap(), &mut bytes).unwrap();
    bytes
}

fn is_sealed(path: &Path) -> bool {
    let stat = statx(CWD, path, AtFlags::empty(), StatxFlags::empty()).unwrap();
    stat.stx_attributes.contains(StatxAttributes::VERITY)
}

#[test]
fn what_is_mounted_is_sealed_and_goes_with_the_image() {
    needs_root!();
    let Some(disk) = Disk::new() else { return };
    assert_eq!(disk.read().unwrap(), disk.data);
    for file in [disk.layer(), disk.find("merged", "*.erofs")] {
        assert!(is_sealed(&file), "{}", file.display());
        File::options().write(true).open(&file).expect_err("it cannot be written to");
    }
    // A check takes the seal for what it is, and a layer's record that is written again has it.
    assert!(disk.conex.ok(&["system", "check"]).ends_with(": sound\n"));
    let record = disk.find("layers", "layer.json");
    let noted: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    assert!(noted["seal"].is_string(), "{noted}");
    fs::write(&record, "{}").unwrap();
    disk.conex.ok(&["system", "check", "--repair"]);
    let again: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    assert_eq!(again, noted);
    disk.conex.ok(&["image", "unmount", "it"]);
    disk.conex.ok(&["rmi", "it"]);
    disk.conex.ok(&["system", "prune", "--all", "--force"]);
    let left = Command::new("find").arg(disk.conex.root()).args(["-name", "*.erofs"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
}

#[test]
fn a_flipped_bit_is_an_error_and_never_another_byte() {
    needs_root!();
    let Some(disk) = Disk::new() else { return };
    disk.unmount();
    // Every copy on the disk: in the blob, which is compressed or not, and in the layer.
    let bytes = fs::read(&disk.disk).unwrap();
    let page = &disk.data[64 << 10..68 << 10];
    let file = File::options().write(true).open(&disk.disk).unwrap();
    let mut flipped = 0;
    let aligned = (0..bytes.len()).step_by(512);
    for at in aligned.filter(|at| bytes[*at..].starts_with(&page[..512])) {
        file.write_all_at(&[bytes[at + 100] ^ 1], at as u64 + 100).unwrap();
        flipped += 1;
    }
    assert!(flipped > 0, "the file's contents are on the disk");
    drop(file);
    assert!(disk.mount());
    let error = disk.read().expect_err("the kernel sees that it is another");
    assert_eq!(error.raw_os_error(), Some(5), "{error}");
    let told = disk.conex.run(&["image", "verify", "it"]);
    assert!(told.code == 1 && (told.stdout + &told.stderr).contains("is damaged"));
}

#[test]
fn another_file_is_refused_and_a_copy_sealed_again() {
    needs_root!();
    let Some(disk) = Disk::new() else { return };
    let layer = disk.layer();
    let bytes = fs::read(&layer).unwrap();
    let replace = |bytes: &[u8]| {
        fs::remove_file(&layer).unwrap();
        fs::write(&layer, bytes).unwrap();
    };
    // As a restored backup would leave it.
    replace(&bytes);
    assert!(!is_sealed(&layer));
    assert_eq!(disk.read().unwrap(), disk.data);
    assert!(is_sealed(&layer));

    disk.unmount();
    assert!(disk.mount());
    let mut other = bytes.clone();
    let at = bytes.windows(16).position(|window| window == &disk.data[..16]).unwrap();
    other[at] ^= 1;
    replace(&other);
    let error = disk.conex.fails(1, &["image", "mount", "it"]);
    assert!(error.lines().count() == 1 && error.contains("fs-verity digest"), "{error}");
    replace(&bytes);
    assert_eq!(disk.read().unwrap(), disk.data);
}
