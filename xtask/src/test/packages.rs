//! The Debian packages that tests need: one table, each with its reason.

use anyhow::{Context, Result, bail};

use crate::command::{installed, output, program, run};

struct Package {
    /// Debian's name.
    name: &'static str,
    /// A program of it, by which it is recognised whoever installed it.
    program: &'static str,
    why: &'static str,
}

const PACKAGES: &[Package] = &[
    Package {
        name: "docker-registry",
        program: "docker-registry",
        why: "the registry that pulls are tested against",
    },
    Package {
        name: "skopeo",
        program: "skopeo",
        why: "fills that registry, and reads back what `save` wrote",
    },
    Package { name: "umoci", program: "umoci", why: "reads the image store as an OCI layout" },
    Package { name: "openssl", program: "openssl", why: "certificates for the registry with TLS" },
    Package { name: "zstd", program: "zstd", why: "layers and archives compressed by another program" },
    Package {
        name: "busybox-static",
        program: "busybox",
        why: "the programs in the root filesystems that the runtime's own tests make",
    },
    Package { name: "libarchive-tools", program: "bsdtar", why: "layers written by another tar" },
    Package { name: "e2fsprogs", program: "chattr", why: "files that refuse to be removed" },
    Package { name: "mmdebstrap", program: "mmdebstrap", why: "an image of Debian packages to test with" },
    Package { name: "attr", program: "getfattr", why: "likewise" },
    Package { name: "procps", program: "ps", why: "what a process looks like from outside" },
    Package {
        name: "util-linux",
        program: "nsenter",
        why: "looks into a container's namespaces from outside",
    },
    Package { name: "mount", program: "mount", why: "a /proc and a /run of those callers' own" },
    Package { name: "podman", program: "podman", why: "calls conex-runtime, as root and rootless" },
    Package { name: "buildah", program: "buildah", why: "calls conex-runtime for its build steps" },
    Package { name: "containerd", program: "containerd", why: "calls conex-runtime through its shim" },
    Package { name: "docker.io", program: "dockerd", why: "calls conex-runtime through containerd" },
    Package {
        name: "iproute2",
        program: "ip",
        why: "the loopback device in those callers' network namespace",
    },
    Package { name: "nftables", program: "nft", why: "reads back the rules that are written" },
    Package { name: "iptables", program: "iptables", why: "what plugins of CNI publish ports with" },
    Package { name: "containernetworking-plugins", program: "host-local", why: "plugins of CNI" },
    Package { name: "uidmap", program: "newuidmap", why: "maps several ids for an ordinary user" },
    Package { name: "passt", program: "pasta", why: "carries an ordinary user's network" },
    Package { name: "slirp4netns", program: "slirp4netns", why: "likewise, where there is no pasta" },
    Package { name: "strace", program: "strace", why: "counts the system calls of the runtime's verbs" },
    Package {
        name: "crun",
        program: "crun",
        why: "what a container finds is compared with what it finds under this runtime",
    },
    Package { name: "runc", program: "runc", why: "likewise" },
    Package {
        name: "tmux",
        program: "tmux",
        why: "the terminal that `ui` draws on, which says what is on it",
    },
];

/// Runs its arguments where systemd seems not to run, so that no package of them starts its service: Debian's scripts ask
/// for that directory, and without it for the run level.
const WITHOUT_SYSTEMD: &str = r#"mount -t tmpfs none /run/systemd && exec "$@""#;

/// Installs what is missing, saying which packages and why.
pub(crate) fn install() -> Result<()> {
    let missing: Vec<_> = PACKAGES.iter().filter(|package| !present(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("The tests need these Debian packages:");
    for package in &missing {
        println!("  {:<28} {}", package.name, package.why);
    }
    if !installed("apt-get") {
        bail!("apt-get is not installed: install the above by hand, then run this again");
    }
    if output(program("id").arg("-u"))?.trim() != "0" {
        let names: Vec<_> = missing.iter().map(|package| package.name).collect();
        bail!("not root: run `apt-get install --no-install-recommends {}`, then this again", names.join(" "));
    }
    run(apt().args(["update", "-qq"])).context("cannot refresh the package lists")?;
    run(apt()
        .args(["install", "-qq", "--yes", "--no-install-recommends"])
        .args(missing.iter().map(|package| package.name)))
    .context("cannot install the packages above")
}

fn apt() -> std::process::Command {
    // Debian starts services as it installs them; the tests start their own daemons.
    let mut command = if std::path::Path::new("/run/systemd/system").is_dir() {
        let mut command = program("unshare");
        command.args(["--mount", "sh", "-c", WITHOUT_SYSTEMD, "sh", "apt-get"]);
        command
    } else {
        program("apt-get")
    };
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    command
}

fn present(package: &Package) -> bool {
    installed(package.program)
        || ["/usr/sbin", "/sbin", "/usr/lib/cni"]
            .iter()
            .any(|directory| std::path::Path::new(directory).join(package.program).is_file())
}
