//! What a program finds in a container is the same under conex-runtime, crun and runc, for a hundred configurations; where
//! it is not, docs/runtime-differences.md explains it.
//!
//! `CONEX_TEST_CRUN` and `CONEX_TEST_RUNC` name other programs than those installed; `CONEX_TEST_SEEDS` (`7` or `0..500`) other
//! configurations. A failure prints the number of the configuration.

mod explained;
mod generate;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use conex_tests::{finish, lacks, needs_root, runtime_path, skip};

/// In a mount namespace where cgroup v2 is the only one, as crun wants it; the group that is joined is the root there.
const ARENA: &str = r#"echo $$ >"$0/cgroup.procs" && exec unshare --mount --cgroup sh -c '
    mount -t cgroup2 cgroup2 /sys/fs/cgroup && mkdir -p /sys/fs/cgroup/own &&
    echo $$ >/sys/fs/cgroup/own/cgroup.procs && exec "$0" "$@"' "$@""#;

type Facts = BTreeMap<String, String>;

/// A group to run in, and a directory for everything else.
struct Bed {
    directory: tempfile::TempDir,
    group: PathBuf,
}

impl Bed {
    fn new() -> Option<Self> {
        let unified = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let unified = unified.into_iter().find(|path| path.join("cgroup.controllers").is_file())?;
        let group = unified.join(format!("conex-differential-{}", std::process::id()));
        std::fs::create_dir(&group).ok()?;
        let directory =
            tempfile::Builder::new().prefix("conex-differential-").tempdir().expect("a temporary directory");
        let bed = Self { directory, group };
        // A container's root need not be root here.
        std::fs::set_permissions(bed.directory.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
        std::fs::copy(env!("CARGO_BIN_EXE_container-probe"), bed.at("container-probe")).expect("the probe");
        Some(bed)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What the probe says under a runtime, and what is left of the root filesystem.
    fn facts(&self, seed: u64, name: &str, runtime: &str) -> Facts {
        let bundle = self.at(&format!("{name}-{seed}"));
        let root = bundle.join("rootfs");
        let shared = bundle.join("shared");
        let spec = generate::spec(seed, root.to_str().expect("UTF-8"), shared.to_str().expect("UTF-8"));
        let owner = spec["linux"]["uidMappings"][0]["hostID"].as_u64().unwrap_or_default();
        std::fs::create_dir_all(shared.join("below")).expect("a directory");
        std::fs::write(shared.join("file"), "shared\n").expect("a file");
        self.make_root(&root, u32::try_from(owner).expect("an id"));
        std::fs::write(bundle.join("config.json"), spec.to_string()).expect("a file");
        let mut command = Command::new("sh");
        // One of its own: what a runtime has enabled below a group keeps processes out of it.
        let group = self.group.join(format!("{name}-{seed}"));
        std::fs::create_dir(&group).expect("a group");
        command.args(["-c", ARENA]).arg(&group).arg(runtime).arg("--root").arg(self.at(name));
        command.arg("run").arg("--bundle").arg(&bundle).arg(format!("d{}-{name}-{seed}", std::process::id()));
        // A pipe: older runtimes make the container's user the owner of a device that they are given as standard input.
        command.stdin(Stdio::piped());
        let output = finish(command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"));
        // How a path is masked is the runtime's affair; what can be read and written there is told apart.
        let masked: Vec<String> = spec["linux"]["maskedPaths"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|path| Some(format!("mount {}", path.as_str()?)))
            .collect();
        let mut facts = Facts::new();
        let mut say = |key: String, value: &str| {
            let value = value.replace(&bundle.display().to_string(), "BUNDLE");
            // Two lines of a key are one fact.
            facts.entry(key).and_modify(|known| *known = format!("{known} {value}")).or_insert(value);
        };
        if output.code != 0 {
            say("outcome".to_owned(), &format!("refused: {}", output.stderr.trim()));
            return facts;
        }
        say("outcome".to_owned(), "ran");
        for line in output.stdout.lines() {
            let (key, value) = line.split_once('\t').unwrap_or((line, ""));
            if masked
                .iter()
                .any(|path| key.strip_prefix(path).is_some_and(|rest| rest.starts_with([' ', '#'])))
            {
                continue;
            }
            let value = match key.strip_prefix("namespace ") {
                Some(kind) => namespace(kind, value),
                None => value,
            };
            say(key.to_owned(), value);
        }
        left(&root, &root, &mut say);
        std::fs::remove_dir_all(&bundle).expect("a bundle without mounts");
        facts
    }

    fn make_root(&self, root: &Path, owner: u32) {
        for directory in ["", "proc", "sys", "dev", "etc", "mnt", "srv/data", "srv/private", "target"] {
            let path = root.join(directory);
            std::fs::create_dir_all(&path).expect("a directory");
        }
        for file in ["etc/secret", "etc/settings", "srv/data/file", "srv/private/file"] {
            std::fs::write(root.join(file), "text\n").expect("a file");
        }
        std::os::unix::fs::symlink("/target", root.join("link")).expect("a link");
        // Everything but the link, for which the owner does not count.
        let listed = finish(Command::new("find").arg(root).args(["!", "-type", "l"]));
        for path in listed.stdout.lines() {
            chown(path, Some(owner), Some(owner)).expect("chown");
        }
        std::fs::hard_link(self.at("container-probe"), root.join("container-probe")).expect("a link");
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // Runtimes may leave groups behind; those go, too.
        let mut find = Command::new("find");
        finish(find.arg(&self.group).args(["-mindepth", "1", "-depth", "-type", "d", "-delete"]));
        for _ in 0..50 {
            if std::fs::remove_dir(&self.group).is_ok() {
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// Ours or another.
fn namespace(kind: &str, link: &str) -> &'static str {
    let host = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap_or_default();
    if host.as_os_str() == link { "the host's" } else { "its own" }
}

/// Mount points that a runtime has made stay.
fn left(root: &Path, directory: &Path, say: &mut impl FnMut(String, &str)) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let kind = if metadata.is_dir() {
            "directory"
        } else if metadata.is_symlink() {
            "link"
        } else {
            "file"
        };
        let mode = metadata.mode() & 0o7777;
        say(format!("left /{name}"), &format!("{kind} {mode:o} {}:{}", metadata.uid(), metadata.gid()));
        if metadata.is_dir() {
            left(root, &path, say);
        }
    }
}

fn seeds() -> Range<u64> {
    let named = std::env::var("CONEX_TEST_SEEDS").unwrap_or_else(|_| "0..100".to_owned());
    let number = |text: &str| text.parse::<u64>().expect("CONEX_TEST_SEEDS is a number or a range");
    match named.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => number(&named)..number(&named) + 1,
    }
}

/// Another runtime: `crun`, `crun 1.8.1`, and the program.
struct Peer {
    name: &'static str,
    version: String,
    program: String,
}

fn peer(name: &'static str) -> Option<Peer> {
    let named = std::env::var(format!("CONEX_TEST_{}", name.to_uppercase())).ok();
    let program = named.or_else(|| lacks(&[name]).is_none().then(|| name.to_owned()))?;
    let said = finish(Command::new(&program).arg("--version")).stdout;
    let version = said.lines().next().unwrap_or_default().replace(" version", "");
    println!("compared with {version}");
    Some(Peer { name, version, program })
}

#[test]
fn a_hundred_bundles_are_the_same_under_all_runtimes() {
    needs_root!();
    if let Some(program) = lacks(&["unshare"]) {
        skip!("{program} is not installed");
    }
    let peers: Vec<Peer> = ["crun", "runc"].into_iter().filter_map(peer).collect();
    if peers.is_empty() {
        skip!("neither crun nor runc is installed");
    }
    let Some(bed) = Bed::new() else { skip!("no cgroup v2 to make a group in") };
    let rows = explained::rows();
    let seeds = seeds();
    let next = AtomicU64::new(seeds.start);
    let unexplained = Mutex::new(BTreeMap::<String, BTreeSet<u64>>::new());
    let compared = AtomicU64::new(0);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            let ours = bed.facts(seed, "ours", &runtime_path());
            for peer in &peers {
                let theirs = bed.facts(seed, peer.name, &peer.program);
                for (what, ours, theirs) in differences(&ours, &theirs) {
                    if !rows.iter().any(|row| row.explains(&what, &ours, &peer.version, &theirs)) {
                        let line = format!("{what}: ours {ours:?}, {} {theirs:?}", peer.version);
                        unexplained.lock().expect("no panic with it").entry(line).or_default().insert(seed);
                    }
                }
                compared.fetch_add(theirs.len() as u64, Ordering::Relaxed);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let unexplained = unexplained.into_inner().expect("no panic with it");
    println!("{} facts compared", compared.load(Ordering::Relaxed));
    let lines: Vec<String> =
        unexplained.iter().map(|(line, seeds)| format!("{line} (configurations {seeds:?})")).collect();
    assert!(lines.is_empty(), "{} differences are explained nowhere:\n{}", lines.len(), lines.join("\n"));
}

/// Of two that ran, each fact; else that one did not.
fn differences(ours: &Facts, theirs: &Facts) -> Vec<(String, String, String)> {
    let of = |facts: &Facts, what: &str| facts.get(what).cloned().unwrap_or_else(|| "-".to_owned());
    if of(ours, "outcome") != "ran" || of(theirs, "outcome") != "ran" {
        let refused = |facts: &Facts| of(facts, "outcome").starts_with("refused");
        if refused(ours) && refused(theirs) {
            return Vec::new();
        }
        return vec![("outcome".to_owned(), of(ours, "outcome"), of(theirs, "outcome"))];
    }
    let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    keys.into_iter()
        .map(|what| (what.clone(), of(ours, what), of(theirs, what)))
        .filter(|(_, ours, theirs)| ours != theirs)
        .collect()
}
