//! A store on a disk that becomes full at every step of each verb: one line says so, what was there is there and whole, removing
//! needs no space, and once there is some the same works.
//!
//! The disks are small ones of a mount namespace of the test's own: a tmpfs, one with few inodes, and ext4 on a loop device.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use conex_tests::{
    Conex, Dice, Output, Registry, finish, lacks, needs_root, private_mounts, skip, skopeo_copy,
    unmount_below,
};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::mount::mount_bind;

use crate::aftermath::{assert_nothing_kept, assert_nothing_unlisted, assert_runs, assert_sound, listed};
use crate::{all, archives, dice, text};

/// How full a disk is made for each verb, from nothing left to all that it needs.
const LEVELS: u64 = 3;
/// With `CONEX_FAULTS=all`.
const ALL_LEVELS: u64 = 40;
/// Bytes that each of our images has of its own, about.
const SIZE: usize = 200_000;

/// What a disk runs out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scarce {
    Bytes,
    Inodes,
}

/// A small file system with ROOT on it, and a file beside it that takes what is not to be left.
struct Disk {
    conex: Conex,
    place: PathBuf,
    scarce: Scarce,
    archives: Vec<PathBuf>,
    dice: Dice,
}

#[test]
fn a_full_tmpfs() {
    needs_root!();
    let Some(disk) = Disk::new("tmpfs", Scarce::Bytes) else {
        skip!("no mount namespace, or no busybox image")
    };
    disk.each_verb();
}

#[test]
fn a_tmpfs_without_inodes() {
    needs_root!();
    let Some(disk) = Disk::new("tmpfs", Scarce::Inodes) else {
        skip!("no mount namespace, or no busybox image")
    };
    disk.each_verb();
}

#[test]
fn a_full_ext4() {
    needs_root!();
    if let Some(program) = lacks(&["mkfs.ext4", "mount"]) {
        skip!("{program} is not installed");
    }
    let Some(disk) = Disk::new("ext4", Scarce::Bytes) else { skip!("no loop device, or no busybox image") };
    disk.each_verb();
}

#[test]
fn an_ext4_without_inodes_and_layers_in_directories() {
    needs_root!();
    if let Some(program) = lacks(&["mkfs.ext4", "mount"]) {
        skip!("{program} is not installed");
    }
    let Some(disk) = Disk::new("ext4", Scarce::Inodes) else { skip!("no loop device, or no busybox image") };
    let disk = Disk { conex: disk.conex.with_layers("directories"), ..disk };
    disk.each_verb();
}

#[test]
fn a_pull_onto_a_full_disk() {
    needs_root!();
    let Some(mut disk) = Disk::new("tmpfs", Scarce::Bytes) else {
        skip!("no mount namespace, or no busybox image")
    };
    let Some(registry) = Registry::start() else { skip!("docker-registry or skopeo is not installed") };
    let image = format!("{}/pulled:3", registry.address());
    let from = format!("docker-archive:{}", disk.archives[3].display());
    let copied = skopeo_copy(&["--dest-tls-verify=false"], &from, &format!("docker://{image}"));
    assert_eq!(copied.code, 0, "{}", copied.stderr);
    disk.load(0);
    disk.verb(&["pull", "-q", &image], 1, &[&image]);
}

/// After a start of the machine nobody remembers which form layers have; with a full disk that cannot be tried out.
#[test]
fn a_start_of_the_machine_with_a_full_disk() {
    needs_root!();
    let Some(disk) = Disk::new("ext4", Scarce::Bytes) else { skip!("no loop device, or no busybox image") };
    disk.load(0);
    disk.load(2);
    let form = |disk: &Disk| disk.conex.ok(&["info", "--format", "{{json .DriverStatus}}"]);
    let before = form(&disk);
    let stop = || {
        unmount_below(&disk.conex.run_root());
        fs::remove_dir_all(disk.conex.run_root()).expect("an empty run root");
    };
    stop();
    disk.fill(0);
    assert_eq!(form(&disk), before);
    assert_sound(&disk.conex, false, "a start with a full disk");
    disk.conex.ok(&["rmi", "app:2"]);
    // Of what is not known nothing is remembered.
    disk.conex.ok(&["rmi", "app:0"]);
    stop();
    disk.fill(0);
    form(&disk);
    disk.free();
    assert_eq!(form(&disk), before);
    disk.load(3);
    assert_sound(&disk.conex, true, "a start with a full disk");
    assert_nothing_unlisted(&disk.conex, &[], "a start with a full disk");
}

/// Where not only ROOT is, but RUN too.
#[test]
fn all_of_it_on_a_full_tmpfs() {
    needs_root!();
    let Some(disk) = Disk::new("tmpfs", Scarce::Inodes) else {
        skip!("no mount namespace, or no busybox image")
    };
    let run = disk.place.join("run");
    fs::create_dir(&run).expect("a directory");
    mount_bind(&run, disk.conex.run_root()).expect("a bind mount");
    disk.each_verb();
}

impl Disk {
    /// `None` when this machine cannot make one.
    fn new(kind: &str, scarce: Scarce) -> Option<Self> {
        if !private_mounts() {
            return None;
        }
        let conex = Conex::new();
        let archives = archives(conex.scratch(), SIZE)?;
        let place = conex.scratch().join("disk");
        fs::create_dir(&place).expect("a directory");
        let mut mount = Command::new("mount");
        if kind == "tmpfs" {
            mount.args(["-t", "tmpfs", "-o", "size=32m,nr_inodes=400", "small"]);
        } else {
            let image = conex.scratch().join("disk.ext4");
            File::create(&image).and_then(|file| file.set_len(24 << 20)).expect("a file");
            let made = finish(Command::new("mkfs.ext4").args(["-q", "-m", "0", "-N", "400"]).arg(&image));
            assert_eq!(made.code, 0, "{}", made.stderr);
            mount.args(["-o", "loop"]).arg(&image);
        }
        let mounted = finish(mount.arg(&place));
        if mounted.code != 0 {
            println!("mount: {}", mounted.stderr);
            return None;
        }
        let root = place.join("root");
        fs::create_dir(&root).expect("a directory");
        mount_bind(&root, conex.root()).expect("a bind mount");
        Some(Self { conex, place, scarce, archives, dice: dice() })
    }

    /// All that puts something into the store, and then what takes something out.
    fn each_verb(mut self) {
        self.load(0);
        self.load(2);
        let archive = text(&self.archives[3]).to_owned();
        self.verb(&["load", "-q", "-i", &archive], 1, &["app:3"]);
        self.conex.ok(&["create", "--name", "made", "app:0", "true"]);
        let tar = text(&self.conex.scratch().join("rootfs.tar")).to_owned();
        self.conex.ok(&["export", "-o", &tar, "made"]);
        self.conex.ok(&["rm", "made"]);
        self.verb(&["import", &tar, "imported"], 1, &["imported"]);
        let script = "cp /noise /copy; rm /name; mkdir /deep; echo new >/deep/file";
        self.conex.ok(&["run", "--network", "none", "--name", "box", "app:0", "sh", "-c", script]);
        self.verb(&["commit", "box", "committed"], 1, &["committed"]);
        self.conex.ok(&["rm", "box"]);
        self.verb(&["tag", "app:0", "other"], 1, &["other"]);
        self.verb(&["run", "--rm", "--pull", "never", "--network", "none", "app:2", "true"], 125, &[]);
        self.removals();
    }

    fn load(&self, number: usize) {
        self.conex.ok(&["load", "-q", "-i", text(&self.archives[number])]);
    }

    /// Runs `words` at one level after the other. `code` is how it fails, `brings` what is to be removed when it has not.
    fn verb(&mut self, words: &[&str], code: i32, brings: &[&str]) {
        let used = |disk: &Self| disk.total() - disk.left();
        let before = used(self);
        self.conex.ok(words);
        // What is in the making takes space too, besides what is there in the end.
        let needs =
            used(self).saturating_sub(before) * 2 + if self.scarce == Scarce::Bytes { 64 << 10 } else { 24 };
        self.undo(brings);
        let levels = if all() { ALL_LEVELS } else { LEVELS };
        let mut failed = 0;
        for level in 0..=levels {
            let leave = if level == 0 {
                0
            } else {
                needs * (level - 1) / levels + self.dice.roll(needs / levels + 1)
            };
            let there = listed(&self.conex);
            self.fill(leave);
            let what = format!("{words:?} with {leave} {:?} left", self.scarce);
            let output = self.conex.run(words);
            if output.code == 0 {
                assert_eq!(output.stderr, "", "{what}");
            } else {
                failed += 1;
                assert_one_line(&output, code, &what);
                assert_eq!(listed(&self.conex), there, "{what}");
                // The little that was left is left.
                if words[0] != "commit" {
                    assert_nothing_kept(&self.conex, &what);
                }
            }
            assert_sound(&self.conex, false, &what);
            self.free();
            assert_sound(&self.conex, level % 2 == 0, &what);
            // A container to be committed stays, and nothing else.
            if words[0] != "commit" {
                assert_nothing_unlisted(&self.conex, &[], &what);
            }
            self.conex.ok(words);
            brings.iter().for_each(|image| assert_runs(&self.conex, image, &what));
            self.undo(brings);
        }
        assert!(failed > 0, "{words:?} needs nothing: the test does not work");
        println!("{words:?} needs {needs} {:?}: failed at {failed} of {} levels", self.scarce, levels + 1);
    }

    fn undo(&self, brings: &[&str]) {
        brings.iter().for_each(|image| drop(self.conex.ok(&["rmi", image])));
    }

    /// With nothing left at all.
    fn removals(&mut self) {
        for number in 0..4 {
            self.load(number);
        }
        assert_sound(&self.conex, true, "loading all");
        // An index of some blocks, of which the removal of a name frees one.
        let many = |number: usize| format!("{}:{number}", "many".repeat(20));
        (0..80).for_each(|number| drop(self.conex.ok(&["tag", "app:0", &many(number)])));
        self.fill(0);
        self.conex.ok(&["rmi", &many(0)]);
        assert_nothing_kept(&self.conex, "removing one of many names with nothing left");
        (1..80).for_each(|number| drop(self.conex.ok(&["rmi", &many(number)])));
        self.free();
        self.conex.ok(&["tag", "app:1", "other"]);
        self.conex.ok(&["tag", "app:2", "moving"]);
        self.conex.ok(&["rmi", "app:2"]);
        self.conex.ok(&["tag", "app:0", "moving"]);
        self.conex.ok(&["create", "--name", "old", "app:3", "true"]);
        for words in [
            &["rmi", "other"][..],
            &["rmi", "app:1"],
            &["image", "prune", "-f"],
            &["rm", "old"],
            &["rmi", "-f", "app:3"],
            &["system", "prune", "-a", "-f"],
        ] {
            // Who removes a container takes its lock, a directory and a file in RUN, which is another file system by rights.
            let leave = if words[0] == "rm" && self.place.join("run").exists() { 2 } else { 0 };
            let what = format!("{words:?} with {leave} {:?} left", self.scarce);
            self.fill(leave);
            let output = self.conex.run(words);
            assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{what}");
            assert_sound(&self.conex, false, &what);
            if words[0] == "rmi" {
                let name = words[words.len() - 1];
                assert!(!self.conex.images().iter().any(|image| image.starts_with(name)), "{what}");
            }
        }
        assert_nothing_unlisted(&self.conex, &["-a"], "removing all from a full disk");
        self.free();
        self.load(3);
        assert_sound(&self.conex, true, "removing all from a full disk");
    }

    fn total(&self) -> u64 {
        let stat = statvfs(&self.place).expect("statvfs");
        if self.scarce == Scarce::Bytes { stat.f_blocks * stat.f_frsize } else { stat.f_files }
    }

    fn left(&self) -> u64 {
        let stat = statvfs(&self.place).expect("statvfs");
        if self.scarce == Scarce::Bytes { stat.f_bavail * stat.f_frsize } else { stat.f_favail }
    }

    /// Takes all but so much.
    fn fill(&self, leave: u64) {
        self.free();
        match self.scarce {
            Scarce::Bytes => {
                let file = File::create(self.place.join("fill")).expect("a file");
                let mut most = self.left().saturating_sub(leave);
                // A file system needs some for itself.
                while most > 0 && fallocate(&file, FallocateFlags::empty(), 0, most).is_err() {
                    most -= most.min(4096);
                }
                let mut more = 0;
                while self.left() > leave
                    && more < 16
                    && fallocate(&file, FallocateFlags::empty(), most, 4096).is_ok()
                {
                    (most, more) = (most + 4096, more + 1);
                }
            }
            Scarce::Inodes => {
                fs::create_dir(self.place.join("fill")).expect("a directory");
                let count = self.left().saturating_sub(leave);
                for number in 0..count {
                    let _ = File::create(self.place.join(format!("fill/{number}")));
                }
            }
        }
    }

    fn free(&self) {
        let path = self.place.join("fill");
        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir_all(&path);
    }
}

/// What failed, on what, why, and what to do.
#[track_caller]
fn assert_one_line(output: &Output, code: i32, what: &str) {
    let line = output.stderr.trim_end_matches('\n');
    assert_eq!((output.code, line.lines().count()), (code, 1), "{what}: {output:?}");
    assert!(line.starts_with("conex: "), "{what}: {line}");
    assert!(line.contains("o space left on device") && line.contains("conex system prune"), "{what}: {line}");
    // What is not there, or cannot be told apart, is not why.
    assert!(
        !line.contains("sha256 ") && !line.contains("corrupt") && !line.contains("damaged"),
        "{what}: {line}"
    );
}
