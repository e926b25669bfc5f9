//! Many commands on one store at once, with prunes beside them all the time: nothing that one of them needs is removed under
//! it. That an image is gone altogether between two commands is no fault, and told apart by its own error.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use conex_tests::{
    Conex, Dice, Entry, Forge, Output, Registry, archive, eventually, finish, needs_root, skip,
};
use serde_json::Value;

/// Images of our own, all on one layer with a busybox.
const APPS: usize = 4;

/// How long it goes on; `CONEX_HAMMER_SECONDS` for longer.
fn duration() -> Duration {
    let seconds = std::env::var("CONEX_HAMMER_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(20))
}

/// The whole line of a command that found no such image.
fn no_image(name: &str) -> String {
    format!("conex: no such image: {name}")
}

/// How often something came about.
#[derive(Debug, Default)]
struct Count {
    done: AtomicU64,
    gone: AtomicU64,
    killed: AtomicU64,
}

/// What all workers share.
struct Yard {
    conex: Conex,
    /// Where what is saved is loaded again.
    other: Conex,
    /// Held by who loads there and removes again: it is one name for all.
    looking: std::sync::Mutex<()>,
    archives: Vec<PathBuf>,
    registry: Registry,
    /// Of those started, one in so many is killed.
    kill: Option<u64>,
    end: Instant,
    counts: [(&'static str, Count); 9],
}

const WORDS: [&str; 9] = ["load", "run", "save", "pull", "tag", "rmi", "create", "prune", "look"];

impl Yard {
    fn new(kill: Option<u64>) -> Option<Self> {
        let conex = Conex::new();
        let base = Forge::with_busybox()?;
        let registry = Registry::start()?;
        registry.fill(&archive("alpine-3.20.oci.tar")?, "alpine:3.20");
        registry.fill(&archive("busybox-1.38-musl.oci.tar")?, "busybox:1");
        let mut dice = Dice::new(1);
        let mut archives = Vec::new();
        for number in 0..APPS {
            let noise = dice.noise(400_000);
            let name = number.to_string();
            let layers = [Entry::File("name", name.as_bytes()), Entry::File("noise", &noise)];
            let image = base.clone().named(&format!("app:{number}")).layer(&layers);
            let path = conex.scratch().join(format!("app{number}.tar"));
            std::fs::write(&path, image.archive()).expect("an archive");
            archives.push(path);
        }
        let counts = WORDS.map(|word| (word, Count::default()));
        let end = Instant::now() + duration();
        let looking = std::sync::Mutex::default();
        Some(Self { conex, other: Conex::new(), looking, archives, registry, kill, end, counts })
    }

    fn count(&self, word: &str) -> &Count {
        let found = self.counts.iter().find(|(known, _)| *known == word);
        &found.unwrap_or_else(|| panic!("no count of {word}")).1
    }

    /// Runs a command to its end, or kills it on the way: then `None`.
    fn attempt(&self, word: &str, dice: &mut Dice, arguments: &[&str]) -> Option<Output> {
        let mut command = self.conex.background(arguments);
        if self.kill.is_some_and(|sides| dice.roll(sides) == 0) {
            std::thread::sleep(Duration::from_micros(dice.roll(60_000)));
            if dice.roll(3) == 0 {
                kill_children(command.id());
            }
            command.kill();
            drop(command);
            self.count(word).killed.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(command.finish())
    }

    /// A command that has to succeed, unless it may find that something is not there at all.
    fn must(&self, word: &str, dice: &mut Dice, arguments: &[&str], excuses: &[&str]) -> Option<Output> {
        let output = self.attempt(word, dice, arguments)?;
        if output.code == 0 {
            self.count(word).done.fetch_add(1, Ordering::Relaxed);
            return Some(output);
        }
        let excused =
            output.stderr.lines().count() == 1 && excuses.iter().any(|why| output.stderr.contains(why));
        assert!(excused, "conex {arguments:?}: {output:?}");
        self.count(word).gone.fetch_add(1, Ordering::Relaxed);
        None
    }

    fn load(&self, dice: &mut Dice) {
        let path = &self.archives[usize::try_from(dice.roll(APPS as u64)).expect("small")];
        self.must("load", dice, &["load", "-q", "-i", path.to_str().expect("text")], &[]);
    }

    fn run(&self, dice: &mut Dice) {
        let number = dice.roll(APPS as u64).to_string();
        let image = format!("app:{number}");
        let gone = no_image(&image);
        let mut words = vec!["run", "--pull", "never", "--network", "none"];
        // What stays holds its image until a prune of containers takes it.
        words.extend((dice.roll(3) > 0).then_some("--rm"));
        words.extend([image.as_str(), "cat", "/name"]);
        if let Some(output) = self.must("run", dice, &words, &[&gone]) {
            assert_eq!(output.stdout, number, "{output:?}");
        }
    }

    fn save(&self, dice: &mut Dice, worker: usize) {
        let image = format!("app:{}", dice.roll(APPS as u64));
        let path = self.conex.scratch().join(format!("saved{worker}.tar"));
        let path = path.to_str().expect("text");
        let gone = no_image(&image);
        if self.must("save", dice, &["save", "-o", path, &image], &[&gone]).is_some() {
            // Which looks at every byte.
            let _one = self.looking.lock().expect("no panic with it");
            self.other.ok(&["load", "-q", "-i", path]);
            self.other.ok(&["rmi", &image]);
        }
    }

    fn pull(&self, dice: &mut Dice) {
        let name = ["alpine:3.20", "busybox:1"][usize::try_from(dice.roll(2)).expect("small")];
        let image = format!("{}/{name}", self.registry.address());
        self.must("pull", dice, &["pull", "-q", &image], &[]);
        let gone = no_image(&image);
        let words = ["run", "--rm", "--pull", "never", "--network", "none", &image, "echo", "up"];
        if let Some(output) = self.must("run", dice, &words, &[&gone]) {
            assert_eq!(output.stdout, "up\n", "{output:?}");
        }
    }

    fn tag(&self, dice: &mut Dice) {
        let (from, to) = (format!("app:{}", dice.roll(APPS as u64)), format!("other:{}", dice.roll(2)));
        self.must("tag", dice, &["tag", &from, &to], &[&no_image(&from)]);
    }

    fn rmi(&self, dice: &mut Dice) {
        let name = match dice.roll(2) {
            0 => format!("app:{}", dice.roll(APPS as u64)),
            _ => format!("other:{}", dice.roll(2)),
        };
        let gone = no_image(&name);
        // A container has it, or somebody else is at it: for a removal that is a fair answer.
        let excuses = [gone.as_str(), "conflict: unable to"];
        self.must("rmi", dice, &["rmi", &name], &excuses);
    }

    /// A container between two commands, which a prune may take whole.
    fn create(&self, dice: &mut Dice, worker: usize) {
        let number = dice.roll(APPS as u64).to_string();
        let (name, image) = (format!("job{worker}"), format!("app:{number}"));
        let no_image = no_image(&image);
        let words =
            ["create", "--pull", "never", "--network", "none", "--name", &name, &image, "cat", "/name"];
        // A killed creation of this name is settled by whoever looks at it next.
        if self.must("create", dice, &words, &[&no_image, "is already in use by container"]).is_some()
            && let Some(output) =
                self.must("create", dice, &["start", "-a", &name], &["conex: No such container: "])
        {
            assert_eq!(output.stdout, number, "{output:?}");
        }
        let busy = ["No such container", "is busy", "container is running"];
        self.must("create", dice, &["rm", "-f", &name], &busy);
    }

    fn prune(&self, dice: &mut Dice) {
        let what = if dice.roll(2) == 0 { "image" } else { "system" };
        if let Some(output) = self.must("prune", dice, &[what, "prune", "-a", "-f"], &[]) {
            assert!(
                output.stdout.contains("Total reclaimed space: ") && output.stderr.is_empty(),
                "{output:?}"
            );
        }
    }

    fn look(&self, dice: &mut Dice) {
        let words: &[&str] = if dice.roll(2) == 0 { &["system", "df", "-v"] } else { &["images", "-a"] };
        self.must("look", dice, words, &[]);
    }

    fn work(&self, seed: u64) {
        let workers: [fn(&Self, &mut Dice, usize); 13] = [
            |yard, dice, _| yard.load(dice),
            |yard, dice, _| yard.load(dice),
            |yard, dice, _| yard.run(dice),
            |yard, dice, _| yard.run(dice),
            |yard, dice, _| yard.run(dice),
            Self::save,
            |yard, dice, _| yard.pull(dice),
            |yard, dice, _| yard.tag(dice),
            |yard, dice, _| yard.rmi(dice),
            Self::create,
            |yard, dice, _| yard.prune(dice),
            |yard, dice, _| yard.prune(dice),
            |yard, dice, _| yard.look(dice),
        ];
        std::thread::scope(|scope| {
            for (number, work) in workers.into_iter().enumerate() {
                scope.spawn(move || {
                    let mut dice = Dice::new(seed.wrapping_add((number as u64) << 32));
                    while Instant::now() < self.end {
                        work(self, &mut dice, number);
                    }
                });
            }
        });
        for (word, count) in &self.counts {
            let [done, gone, killed] =
                [&count.done, &count.gone, &count.killed].map(|count| count.load(Ordering::Relaxed));
            println!("{word:8} {done:5} done {gone:5} found nothing {killed:5} killed");
            assert!(done > 0, "{word} was never seen to work");
        }
    }
}

/// The supervisor of a `run`, if it has one by now.
fn kill_children(pid: u32) {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
        let Some(child) = rustix::process::Pid::from_raw(child) else { continue };
        if let Ok(process) = rustix::process::pidfd_open(child, rustix::process::PidfdFlags::empty()) {
            let _ = rustix::process::pidfd_send_signal(process, rustix::process::Signal::KILL);
        }
    }
}

/// That the store holds what its names lead to, whole, and nothing else.
fn assert_consistent(conex: &Conex) {
    let root = conex.root();
    let blobs = root.join("blobs/sha256");
    let read = |digest: &str| -> Value {
        let path = blobs.join(digest.strip_prefix("sha256:").expect("sha256"));
        let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_slice(&text).expect("a document")
    };
    let index: Value =
        serde_json::from_slice(&std::fs::read(root.join("index.json")).expect("an index")).expect("JSON");
    let (mut needed, mut layers) = (BTreeSet::new(), BTreeSet::new());
    let mut left: Vec<Value> = index["manifests"].as_array().expect("a list").clone();
    assert_eq!(left.len(), list(&root.join("references")).len(), "index.json is not what the references say");
    while let Some(descriptor) = left.pop() {
        let digest = descriptor["digest"].as_str().expect("a digest");
        let here = blobs.join(&digest[7..]).exists();
        // Other platforms of an index need not be here.
        if (!here && descriptor["platform"].is_object()) || !needed.insert(digest[7..].to_owned()) {
            continue;
        }
        let kind = descriptor["mediaType"].as_str().expect("a type");
        if kind.contains("index") || kind.contains("manifest.list") {
            left.extend(read(digest)["manifests"].as_array().expect("a list").iter().cloned());
        } else if kind.contains("manifest") {
            let manifest = read(digest);
            let config = manifest["config"]["digest"].as_str().expect("a digest").to_owned();
            for diff_id in read(&config)["rootfs"]["diff_ids"].as_array().expect("a list") {
                layers.insert(diff_id.as_str().expect("a digest")[7..].to_owned());
            }
            needed.insert(config[7..].to_owned());
            let blobs = manifest["layers"].as_array().expect("a list");
            needed
                .extend(blobs.iter().map(|blob| blob["digest"].as_str().expect("a digest")[7..].to_owned()));
        }
    }
    assert_eq!(list(&blobs), needed, "blobs");
    // Of an index, layers are there for the platforms that were unpacked.
    let unpacked = list(&root.join("layers"));
    assert!(unpacked.is_subset(&layers), "layers without an image: {unpacked:?}, of {layers:?}");
    assert_eq!(list(&root.join("tmp")), BTreeSet::new(), "temporary files");
    if !needed.is_empty() {
        let sums = finish(Command::new("sh").arg("-c").arg("cd \"$1\" && sha256sum *").arg("sh").arg(&blobs));
        for line in sums.stdout.lines() {
            let (sum, name) = line.split_once("  ").expect("a sum");
            assert_eq!(sum, name, "a blob is not what its name says");
        }
        assert_eq!(sums.stdout.lines().count(), needed.len());
    }
    for descriptor in index["manifests"].as_array().expect("a list") {
        if let Some(name) = descriptor["annotations"]["org.opencontainers.image.ref.name"].as_str() {
            let layout = format!("oci:{}:{name}", root.display());
            let read = finish(Command::new("skopeo").args(["inspect", "--config", &layout]));
            assert_eq!(read.code, 0, "skopeo inspect {layout}: {}", read.stderr);
        }
    }
}

fn list(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn hammer(kill: Option<u64>) {
    let Some(yard) = Yard::new(kill) else { skip!("needs docker-registry, skopeo and the fixture images") };
    let seed = std::time::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs());
    println!("seed {seed}");
    yard.work(seed);
    let conex = &yard.conex;
    // What was killed beside its container is settled, what was not ends by itself.
    eventually("the end of all containers", || conex.ok(&["ps", "-q"]).is_empty().then_some(()));
    for image in ["app:0", "app:1"] {
        let archive = &yard.archives[usize::from(image == "app:1")];
        conex.ok(&["load", "-q", "-i", archive.to_str().expect("text")]);
        assert_eq!(conex.ok(&["run", "--rm", "--network", "none", image, "cat", "/name"]), image[4..]);
    }
    let pulled = format!("{}/alpine:3.20", yard.registry.address());
    conex.ok(&["pull", "-q", &pulled]);
    conex.ok(&["image", "prune", "-f"]);
    assert_consistent(conex);
    let images = conex.images();
    assert!(
        ["app:0", "app:1", &pulled].iter().all(|name| images.iter().any(|image| image == name)),
        "{images:?}"
    );

    conex.ok(&["system", "prune", "-a", "-f"]);
    assert_consistent(conex);
    for directory in ["blobs/sha256", "layers", "references", "containers", "names", "tmp"] {
        assert_eq!(list(&conex.root().join(directory)), BTreeSet::new(), "{directory}");
    }
}

#[test]
fn prunes_beside_everything_else() {
    needs_root!();
    hammer(None);
}

#[test]
fn prunes_beside_everything_else_and_sudden_deaths() {
    needs_root!();
    hammer(Some(4));
}
