//! The image goes to a registry and to peers, and comes back from each: the same digests, the same files.

use std::fs;
use std::path::Path;
use std::process::Command;

use conex_tests::{Conex, Enclosure, Registry, eventually, finish, installed, lacks, skip, skopeo_copy};

use crate::{Bed, NAME, assert_said, image, reference, tree};

/// The digest of what a transport of skopeo's has under a name.
#[track_caller]
fn digest(name: &str) -> String {
    let mut raw = Command::new("sh");
    raw.args(["-c", "skopeo inspect --raw --tls-verify=false \"$0\" | sha256sum", name]);
    let raw = finish(&mut raw);
    assert_eq!(raw.code, 0, "{}", raw.stderr);
    format!("sha256:{}", raw.stdout.split(' ').next().expect("a digest"))
}

/// The full id of its only image: the configuration's digest.
fn id(conex: &Conex) -> String {
    let ids = conex.ok(&["images", "--quiet", "--no-trunc"]);
    ids.lines().next().expect("an image").to_owned()
}

#[test]
fn a_registry_and_skopeo_carry_it_there_and_back() {
    let archive = image!();
    let Some(registry) = Registry::start() else { skip!("docker-registry or skopeo is not installed") };
    let bed = Bed::load("auto", &archive);
    let scratch = bed.conex.scratch();
    let layout = reference::layout(&archive, scratch);
    let (manifest, config) = (reference::manifest(&layout), reference::config(&layout));
    assert_eq!(id(&bed.conex), config);

    // Ours to the registry, and from there to another of ours.
    let pushed = format!("{}/ours:1", registry.address());
    bed.ok(&["tag", NAME, &pushed]);
    bed.ok(&["push", "--quiet", &pushed]);
    assert_eq!(digest(&format!("docker://{pushed}")), manifest);
    let other = Conex::new();
    other.ok(&["pull", "--quiet", &pushed]);
    assert_eq!(id(&other), config);
    assert_said(&other.ok(&["run", "--rm", "--network", "none", &pushed]));

    // skopeo reads the store in place, writes a directory, and what it writes from that is the same image.
    let store = format!("oci:{}:docker.io/library/{NAME}", bed.conex.root().display());
    let directory = format!("dir:{}", scratch.join("dir").display());
    let back = scratch.join("back.tar");
    let theirs = format!("docker://{}/theirs:1", registry.address());
    for (from, to) in [
        (&store, &directory),
        (&directory, &format!("oci-archive:{}:back:1", back.display())),
        (&directory, &theirs),
    ] {
        let copied = skopeo_copy(&["--dest-tls-verify=false"], from, to);
        assert_eq!(copied.code, 0, "{from} to {to}: {}", copied.stderr);
    }
    assert_eq!(
        (digest(&store), digest(&directory), digest(&theirs)),
        (manifest.clone(), manifest.clone(), manifest)
    );
    for words in [
        &["load", "--quiet", "--input", back.to_str().expect("text")][..],
        &["pull", "--quiet", theirs.trim_start_matches("docker://")],
    ] {
        let fresh = Conex::new();
        fresh.ok(words);
        assert_eq!(id(&fresh), config, "{words:?}");
        fresh.ok(&["image", "verify"]);
    }
}

#[test]
fn umoci_unpacks_the_store_to_the_same_files() {
    let archive = image!();
    if !installed("umoci") {
        skip!("umoci is not installed");
    }
    let bed = Bed::load("auto", &archive);
    let bundle = bed.conex.scratch().join("bundle");
    let image = format!("{}:docker.io/library/{NAME}", bed.conex.root().display());
    let unpacked = finish(Command::new("umoci").args(["unpack", "--image", &image]).arg(&bundle));
    assert_eq!(unpacked.code, 0, "{}", unpacked.stderr);
    let mounted = bed.ok(&["image", "mount", NAME]);
    let (mut ours, mut theirs) = (tree::look(Path::new(mounted.trim())), tree::look(&bundle.join("rootfs")));
    // umoci gives the directories that it makes things in the time of that.
    for node in ours.values_mut().chain(theirs.values_mut()) {
        node.mtime = (0, 0);
    }
    tree::assert_same(&ours, &theirs, "umoci unpack");
    bed.ok(&["image", "unmount", NAME]);
}

/// Podman, a registry and the network between them, away from the host's.
struct Yard {
    enclosure: Enclosure,
}

impl Yard {
    fn new() -> Option<Self> {
        let yard = Self { enclosure: Enclosure::new("debian")? };
        let at = |name: &str| yard.enclosure.at(name);
        yard.enclosure.set_up_podman("");
        let config = format!(
            "version: 0.1\nlog:\n    level: info\nstorage:\n    filesystem:\n        rootdirectory: {}\n\
             http:\n    addr: {REGISTRY}\n",
            at("data")
        );
        fs::write(at("registry.yml"), config).expect("a file");
        yard.enclosure.daemon("registry.log", &["docker-registry", "serve", &at("registry.yml")], || {
            fs::read_to_string(at("registry.log")).is_ok_and(|log| log.contains("listening on"))
        });
        Some(yard)
    }

    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        let output = self.enclosure.run(words);
        assert_eq!(output.code, 0, "{words:?}\n{}\n{}", output.stdout, output.stderr);
        output.stdout
    }

    #[track_caller]
    fn podman(&self, arguments: &[&str]) -> String {
        self.enclosure.podman_ok(arguments)
    }

    /// Ours, where the registry is to be reached.
    #[track_caller]
    fn conex(&self, conex: &Conex, arguments: &[&str]) -> String {
        let (root, run) = (conex.root(), conex.run_root());
        let root = format!("CONEX_ROOT={}", root.display());
        let run = format!("CONEX_RUN_ROOT={}", run.display());
        let binary = Conex::binary();
        let mut words = vec!["env", &root, &run, binary.to_str().expect("text")];
        words.extend(arguments);
        self.ok(&words)
    }
}

/// The port is free: the network is the enclosure's own.
const REGISTRY: &str = "127.0.0.1:5000";

#[test]
fn podman_pulls_what_is_pushed_and_pushes_what_is_pulled() {
    let archive = image!();
    if let Some(program) = lacks(&["podman", "conmon", "docker-registry", "unshare", "nsenter"]) {
        skip!("{program} is not installed");
    }
    let Some(yard) = Yard::new() else { skip!("no namespaces here") };
    let bed = Bed::load("auto", &archive);
    let layout = reference::layout(&archive, bed.conex.scratch());
    let (manifest, config) = (reference::manifest(&layout), reference::config(&layout));

    let ours = format!("{REGISTRY}/ours:1");
    bed.ok(&["tag", NAME, &ours]);
    yard.conex(&bed.conex, &["push", "--quiet", &ours]);
    yard.podman(&["pull", "--quiet", "--tls-verify=false", &ours]);
    assert_eq!(
        yard.podman(&["image", "inspect", "--format", "{{.Digest}} sha256:{{.Id}}", &ours]).trim(),
        format!("{manifest} {config}")
    );
    let run = ["run", "--rm", "--network", "none", "--cgroup-parent", yard.enclosure.cgroup()];
    assert_said(&yard.podman(&[&run[..], &[&ours]].concat()));

    // Podman makes the layers anew of what it has unpacked: the blobs may be others, the files and so the image are not.
    let theirs = format!("{REGISTRY}/theirs:1");
    let file = yard.enclosure.at("digest");
    yard.podman(&["push", "--quiet", "--tls-verify=false", "--digestfile", &file, &ours, &theirs]);
    let pushed = eventually("the digest", || fs::read_to_string(&file).ok());
    let other = Conex::new();
    yard.conex(&other, &["pull", "--quiet", &theirs]);
    let digests = other.ok(&["image", "inspect", "--format", "{{json .RepoDigests}}", &theirs]);
    assert!(digests.contains(pushed.trim()), "{digests} {pushed}");
    assert_eq!(id(&other), config);
    other.ok(&["image", "verify"]);
    assert_said(&other.ok(&["run", "--rm", "--network", "none", &theirs]));
}
