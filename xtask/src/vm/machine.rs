//! The machine's own parts: a small Debian with the kernel's modules, its disk, and the initramfs that finds it.
//! Each is built under a temporary name and renamed when it is whole, so that an interrupted run leaves no half.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::packages;
use crate::command::{output, program, run};
use crate::debian::Sources;

/// What the tests run beside their own programs; and a systemd, for an ordinary user as well.
const INCLUDED: &str = "kmod,procps,util-linux,iproute2,nftables,ca-certificates,strace,skopeo,umoci,zstd,docker-registry,openssl,\
     systemd,dbus,dbus-user-session,libpam-systemd,uidmap,busybox-static,socat,tcpdump,passt,slirp4netns";

/// Says in the tree what it was made of.
const RECIPE: &str = "etc/conex-machine";

/// What stands between the kernel and the root file system, in the order of their dependencies.
const BOOT_MODULES: [&str; 3] = ["virtio_pci", "virtio_blk", "ext4"];

/// The unpacked system.
pub(super) struct Root {
    tree: PathBuf,
    pub(super) kernel: PathBuf,
    release: String,
}

pub(super) fn root(cache: &Path, sources: &Sources) -> Result<Root> {
    let tree = cache.join("root");
    let recipe = format!("{} {INCLUDED}\n", sources.suite);
    // An older recipe's system is built again, and its disk with it.
    if !fs::read_to_string(tree.join(RECIPE)).is_ok_and(|text| text == recipe) {
        for old in [&tree, &cache.join("root.ext4")] {
            run(program("rm").arg("-rf").arg(old))?;
        }
        println!("building the guest's root file system (kept in {})", tree.display());
        let making = cache.join("root.making");
        if making.exists() {
            fs::remove_dir_all(&making).with_context(|| format!("cannot clear {}", making.display()))?;
        }
        let mut command = program("mmdebstrap");
        command.args(["--quiet", "--variant=minbase"]).arg(format!("--include={INCLUDED}"));
        output(command.arg(&sources.suite).arg(&making).arg(sources.line(&sources.suite).trim()))
            .context("mmdebstrap")?;
        let package = packages::kernel(cache, sources)?;
        // With merged /usr, a package's ./lib would replace the link of that name.
        let unpacked = cache.join("kernel.making");
        run(program("dpkg").arg("-x").arg(&package).arg(&unpacked))?;
        let modules =
            if unpacked.join("usr/lib/modules").exists() { "usr/lib/modules" } else { "lib/modules" };
        run(program("cp").arg("-a").arg(unpacked.join(modules)).arg(making.join("usr/lib/")))?;
        run(program("cp").arg("-a").arg(unpacked.join("boot")).arg(&making))?;
        fs::remove_dir_all(&unpacked)?;
        let release = release(&making)?;
        run(program("chroot").arg(&making).args(["depmod", &release]))
            .context("cannot index the kernel's modules")?;
        fs::write(making.join(RECIPE), recipe)?;
        fs::rename(&making, &tree)?;
    }
    let release = release(&tree)?;
    Ok(Root { kernel: tree.join(format!("boot/vmlinuz-{release}")), tree, release })
}

/// The version of the kernel in a tree: the name of its modules' directory.
fn release(tree: &Path) -> Result<String> {
    let directory = tree.join("usr/lib/modules");
    let mut names =
        fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let entry = names.next().with_context(|| format!("{} is empty", directory.display()))??;
    entry.file_name().into_string().map_err(|name| anyhow::anyhow!("a kernel of an odd name: {name:?}"))
}

/// The system's disk; the machine writes to a snapshot of it.
pub(super) fn root_disk(cache: &Path, root: &Root) -> Result<PathBuf> {
    let disk = cache.join("root.ext4");
    if !disk.exists() {
        file_system(&root.tree, &disk, 4096)?;
    }
    Ok(disk)
}

/// An ext4 file system with a directory's content, `mib` large (sparse).
pub(super) fn file_system(directory: &Path, disk: &Path, mib: u64) -> Result<()> {
    let making = disk.with_extension("making");
    let file = fs::File::create(&making).with_context(|| format!("cannot make {}", making.display()))?;
    file.set_len(mib << 20)?;
    // Debian keeps it in /usr/sbin, which may not be in PATH.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = program("mke2fs");
    command.env("PATH", path).args([
        "-q",
        "-F",
        "-t",
        "ext4",
        "-E",
        "lazy_itable_init=1",
        "-O",
        "^has_journal",
        "-d",
    ]);
    output(command.arg(directory).arg(&making)).with_context(|| format!("cannot fill {}", disk.display()))?;
    fs::rename(&making, disk)?;
    Ok(())
}

/// busybox, the modules that the disks need, and a script that mounts them and goes on.
pub(super) fn initramfs(cache: &Path, root: &Root) -> Result<PathBuf> {
    let archive = cache.join("initramfs.cpio");
    let tree = cache.join("initramfs");
    for directory in ["bin", "modules", "proc", "sys", "dev", "root"] {
        fs::create_dir_all(tree.join(directory))?;
    }
    let busybox = output(program("sh").args(["-c", "command -v busybox"]))?;
    fs::copy(busybox.trim(), tree.join("bin/busybox")).context("cannot copy busybox")?;
    let mut load = String::new();
    for path in module_files(root)? {
        let name = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".xz").to_owned();
        if !load.contains(&format!("/{name}\n")) {
            decompress(&root.tree.join(&path), &tree.join("modules").join(&name))?;
            load.push_str(&format!("insmod /modules/{name}\n"));
        }
    }
    let script = tree.join("init");
    fs::write(&script, INIT.replace("@LOAD@", &load))?;
    run(program("chmod").arg("755").arg(&script))?;
    let mut command = program("sh");
    command.current_dir(&tree).args(["-c", "find . | cpio --quiet --create --format=newc > \"$0\""]);
    run(command.arg(&archive))?;
    Ok(archive)
}

const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
@LOAD@
for disk in vda vdb; do
  n=0
  while [ ! -b /dev/$disk ] && [ $n -lt 100 ]; do n=$((n + 1)); sleep 0.1; done
done
mount -t ext4 /dev/vda /root || { echo 'no root disk'; poweroff -f; }
mkdir -p /root/suite
mount -t ext4 /dev/vdb /root/suite || { echo 'no suite disk'; poweroff -f; }
mount --move /dev /root/dev
umount /sys /proc
exec switch_root /root /suite/guest.sh
";

/// The files of [`BOOT_MODULES`] and of what they depend on, in the order of loading, from the kernel's index.
fn module_files(root: &Root) -> Result<Vec<String>> {
    let base = format!("usr/lib/modules/{}", root.release);
    let index =
        fs::read_to_string(root.tree.join(&base).join("modules.dep")).context("cannot read modules.dep")?;
    let mut files = Vec::new();
    for module in BOOT_MODULES {
        // A module that is not there is built into the kernel. Dependencies are listed nearest first.
        let is_it = |path: &str| {
            path.rsplit('/').next().is_some_and(|name| name.starts_with(&format!("{module}.ko")))
        };
        let Some((path, depends)) =
            index.lines().filter_map(|line| line.split_once(':')).find(|(path, _)| is_it(path))
        else {
            continue;
        };
        files.extend(
            depends.split_ascii_whitespace().rev().chain([path]).map(|path| format!("{base}/{path}")),
        );
    }
    // ext4 asks for a checksum driver by name when it mounts.
    let generic = index
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(path, _)| path.contains("/crc32c_generic.ko"));
    files.extend(generic.map(|(path, _)| format!("{base}/{path}")));
    Ok(files)
}

/// busybox's insmod takes plain files.
fn decompress(from: &Path, to: &Path) -> Result<()> {
    if from.extension().is_some_and(|extension| extension == "xz") {
        let mut command = program("sh");
        return run(command.args(["-c", "xz --decompress --stdout \"$0\" > \"$1\""]).arg(from).arg(to));
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}
