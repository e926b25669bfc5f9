//! What has to hold after any fault: each listed image is whole and runs, and after a `system prune` nothing takes space that
//! a listed image does not account for, to the file.
//!
//! The accounts are kept from outside: the store is read as the OCI image layout that it is, and nothing of the code that is
//! tested is used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use conex_tests::{Conex, eventually};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Each listed image passes `image verify`, and runs if that is to be seen too.
///
/// # Panics
/// When one does not.
#[track_caller]
pub(crate) fn assert_sound(conex: &Conex, run: bool, after: &str) {
    let ids = listed(conex);
    let verified = conex.run(&["image", "verify"]);
    assert_eq!(
        (verified.code, verified.stderr.as_str()),
        (0, ""),
        "a listed image is damaged after {after}: {}",
        verified.stdout
    );
    let said = verified.stdout.lines().filter(|line| line.contains(": ok (")).count();
    assert_eq!(said, ids.len(), "after {after}: {} of {ids:?}", verified.stdout);
    for id in ids.iter().filter(|_| run) {
        assert_runs(conex, id, after);
    }
}

/// # Panics
/// When it does not.
#[track_caller]
pub(crate) fn assert_runs(conex: &Conex, image: &str, after: &str) {
    let words = ["run", "--rm", "--pull", "never", "--network", "none", image, "sh", "-c", "echo up"];
    let output = conex.run(&words);
    assert_eq!(
        (output.code, output.stdout.as_str(), output.stderr.as_str()),
        (0, "up\n", ""),
        "{image} is listed and does not run after {after}"
    );
}

/// The ids of all images, each once.
pub(crate) fn listed(conex: &Conex) -> BTreeSet<String> {
    conex.ok(&["images", "-a", "-q", "--no-trunc"]).lines().map(str::to_owned).collect()
}

/// All that is there has an account, though nobody has pruned.
///
/// # Panics
/// When something has none.
#[track_caller]
pub(crate) fn assert_nothing_kept(conex: &Conex, after: &str) {
    // A supervisor removes what is its own after it has told of its end.
    let mut left = Vec::new();
    let cleared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("all that is unlisted to go", || {
            left = unaccounted(conex);
            left.is_empty().then_some(())
        });
    }));
    assert!(cleared.is_ok(), "after {after}, unlisted: {left:#?}");
}

/// Prunes (`flags` besides `-f`), and looks for what has no account.
///
/// # Panics
/// When there is something.
#[track_caller]
pub(crate) fn assert_nothing_unlisted(conex: &Conex, flags: &[&str], after: &str) {
    // A supervisor whose command was killed finishes by itself.
    eventually("the end of all containers", || conex.ok(&["ps", "-q"]).is_empty().then_some(()));
    let pruned = conex.run(&[&["system", "prune", "-f"], flags].concat());
    assert_eq!((pruned.code, pruned.stderr.as_str()), (0, ""), "system prune after {after}");
    assert_nothing_kept(conex, after);
    if flags.contains(&"-a") {
        assert_eq!(listed(conex), BTreeSet::new(), "after {after} and a prune of all");
    }
}

/// What the images of a store account for.
#[derive(Default)]
struct Accounts {
    blobs: BTreeSet<String>,
    layers: BTreeSet<String>,
    chains: BTreeSet<String>,
}

impl Accounts {
    /// Of what `index.json` leads to. A document that cannot be read accounts for nothing, and whoever verifies says why.
    fn of(root: &Path, index: &Value) -> Self {
        let mut accounts = Self::default();
        let blobs = root.join("blobs/sha256");
        let read = |hex: &str| -> Value {
            fs::read(blobs.join(hex))
                .map_or(Value::Null, |text| serde_json::from_slice(&text).unwrap_or_default())
        };
        let mut left: Vec<Value> = list_of(&index["manifests"]);
        while let Some(descriptor) = left.pop() {
            let digest = hex(&descriptor);
            // Other platforms of an index need not be here.
            let elsewhere = descriptor["platform"].is_object() && !blobs.join(&digest).exists();
            if elsewhere || !accounts.blobs.insert(digest.clone()) {
                continue;
            }
            let document = read(&digest);
            left.extend(list_of(&document["manifests"]));
            if document["config"].is_object() {
                let config = hex(&document["config"]);
                accounts.add_layers(&list_of(&read(&config)["rootfs"]["diff_ids"]));
                accounts.blobs.insert(config);
                accounts.blobs.extend(list_of(&document["layers"]).iter().map(hex));
            }
        }
        accounts
    }

    /// image-spec config.md#layer-chainid
    fn add_layers(&mut self, diff_ids: &[Value]) {
        let mut chain: Option<String> = None;
        for layer in diff_ids.iter().filter_map(Value::as_str) {
            self.layers.insert(layer["sha256:".len()..].to_owned());
            chain = Some(match chain {
                None => layer.to_owned(),
                Some(below) => sha256(format!("{below} {layer}").as_bytes()),
            });
        }
        self.chains.extend(chain.map(|chain| chain["sha256:".len()..].to_owned()));
    }
}

/// What lies in ROOT or RUN, or is mounted there, that no image accounts for; and what the accounts have and is not there.
fn unaccounted(conex: &Conex) -> Vec<String> {
    let (root, run) = (conex.root(), conex.run_root());
    let index: Value = fs::read(root.join("index.json"))
        .map_or(Value::Null, |text| serde_json::from_slice(&text).unwrap_or_default());
    let accounts = Accounts::of(&root, &index);
    let mut left = Vec::new();
    let known = [
        "oci-layout",
        "index.json",
        "locks",
        "blobs",
        "references",
        "layers",
        "merged",
        "containers",
        "names",
        "cache",
        "events",
        "tmp",
        "views",
        "userns",
        "lost+found",
    ];
    left.extend(
        names(&root)
            .into_iter()
            .filter(|name| !known.contains(&name.as_str()))
            .map(|name| format!("ROOT/{name}")),
    );
    for empty in ["tmp", "views", "containers", "names", "userns"] {
        left.extend(names(&root.join(empty)).into_iter().map(|name| format!("ROOT/{empty}/{name}")));
    }
    let references: BTreeSet<String> = entries(&root.join("references"))
        .iter()
        .map(|path| fs::read(path).unwrap_or_default())
        .map(|text| serde_json::from_slice::<Value>(&text).unwrap_or_default().to_string())
        .collect();
    let told: BTreeSet<String> = list_of(&index["manifests"]).iter().map(Value::to_string).collect();
    if references != told {
        left.push(format!("index.json tells of {told:?}, the references are {references:?}"));
    }
    let blobs = names(&root.join("blobs/sha256"));
    left.extend(blobs.difference(&accounts.blobs).map(|name| format!("blob {name}")));
    left.extend(accounts.blobs.difference(&blobs).map(|name| format!("no blob {name}")));
    for path in entries(&root.join("layers")) {
        left.extend(layer(&path, &accounts));
    }
    let of_chain = |name: &String, kinds: &[&str]| {
        kinds.iter().any(|kind| name.strip_suffix(kind).is_some_and(|chain| accounts.chains.contains(chain)))
    };
    let merged = names(&root.join("merged"));
    left.extend(
        merged
            .iter()
            .filter(|name| !of_chain(name, &[".erofs", ".json"]))
            .map(|name| format!("merged {name}")),
    );
    for (directory, kinds) in
        [("", &[][..]), ("images", &["", ".lock"]), ("containers", &[]), ("mounts", &[]), ("execs", &[])]
    {
        let kept = |name: &String| match directory {
            "" => ["images", "containers", "mounts", "execs"].contains(&name.as_str()),
            _ => (directory == "images" && name == "backend") || of_chain(name, kinds),
        };
        let here = names(&run.join(directory));
        left.extend(here.iter().filter(|name| !kept(name)).map(|name| format!("RUN/{directory}/{name}")));
    }
    left.extend(
        mounted(conex.scratch())
            .into_iter()
            .filter(|path| {
                let chain =
                    path.strip_prefix(run.join("images")).ok().and_then(Path::to_str).map(str::to_owned);
                let small = [conex.scratch().join("disk"), root.clone(), run.clone()].contains(path);
                !small && chain.is_none_or(|chain| !accounts.chains.contains(&chain))
            })
            .map(|path| format!("mount {}", path.display())),
    );
    left.extend(loops(conex.scratch()));
    left
}

/// What is wrong with a layer's directory.
fn layer(path: &Path, accounts: &Accounts) -> Vec<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !accounts.layers.contains(&name) {
        return vec![format!("layer {name}")];
    }
    let mut left = Vec::new();
    let here = names(path);
    let forms: Vec<&str> = here.iter().map(String::as_str).filter(|name| *name != "layer.json").collect();
    if !matches!(forms.as_slice(), ["layer.erofs"] | ["fs"]) || here.len() != 2 {
        left.push(format!("layer {name} holds {here:?}"));
    }
    // Nobody can verify a directory; but one that has lost something is smaller.
    if forms == ["fs"] {
        let record: Value = fs::read(path.join("layer.json"))
            .map_or(Value::Null, |text| serde_json::from_slice(&text).unwrap_or_default());
        let size: u64 = files(&path.join("fs")).into_values().sum();
        if record["bytes"].as_u64() != Some(size) {
            left.push(format!("layer {name} has {size} bytes, its record is {record}"));
        }
    }
    left
}

/// The sizes of all regular files below, by inode.
fn files(directory: &Path) -> BTreeMap<u64, u64> {
    let mut found = BTreeMap::new();
    for path in entries(directory) {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if metadata.is_dir() {
            found.extend(files(&path));
        } else if metadata.is_file() {
            found.insert(metadata.ino(), metadata.len());
        }
    }
    found
}

/// Mount points at or below a directory, in this thread's namespace.
fn mounted(directory: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/thread-self/mountinfo").expect("mountinfo");
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    points.filter(|point| point.starts_with(directory)).collect()
}

/// Loop devices over what is gone.
fn loops(directory: &Path) -> Vec<String> {
    let devices = entries(Path::new("/sys/block"));
    let backing =
        devices.iter().filter_map(|device| fs::read_to_string(device.join("loop/backing_file")).ok());
    let below =
        backing.map(|text| text.trim_end().to_owned()).filter(|path| Path::new(path).starts_with(directory));
    below.filter(|path| path.ends_with(" (deleted)")).map(|path| format!("loop device over {path}")).collect()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn names(directory: &Path) -> BTreeSet<String> {
    let paths = entries(directory);
    paths.iter().filter_map(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned()).collect()
}

fn list_of(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn hex(descriptor: &Value) -> String {
    descriptor["digest"].as_str().unwrap_or("sha256:").trim_start_matches("sha256:").to_owned()
}

fn sha256(bytes: &[u8]) -> String {
    let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digest}")
}
