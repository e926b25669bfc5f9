//! SIGKILL at a random point of each verb, which is a system call of any of its threads and processes, or a moment. All of them
//! die, on a store that was left as the deaths before have left it.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use conex_tests::{Conex, Dice, Killat, Registry, Traced, archive, needs_root, skip, skopeo_copy};

use crate::aftermath::{assert_nothing_unlisted, assert_runs, assert_sound};
use crate::{APPS, all, archives, deaths, dice, text};

/// In a run of the suite, for each form of layers.
const ROUNDS: usize = 36;
/// With `CONEX_FAULTS=all`.
const ALL_ROUNDS: usize = 500;
/// All images run after every so many rounds, and after the last.
const RUNS: usize = 8;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Pull,
    PullIndex,
    Push,
    Load,
    Prune,
    PruneAll,
    Remove,
    Tag,
    Commit,
    Import,
    Save,
    Run,
    Mount,
    Tree,
}

/// The ones that change the most come more often.
const VERBS: [Verb; 21] = [
    Verb::Pull,
    Verb::Pull,
    Verb::Pull,
    Verb::PullIndex,
    Verb::Push,
    Verb::Push,
    Verb::Load,
    Verb::Load,
    Verb::Load,
    Verb::Prune,
    Verb::PruneAll,
    Verb::PruneAll,
    Verb::Remove,
    Verb::Remove,
    Verb::Tag,
    Verb::Commit,
    Verb::Import,
    Verb::Save,
    Verb::Run,
    Verb::Mount,
    Verb::Tree,
];

/// How much of a verb there is, as far as is known.
#[derive(Debug, Clone, Copy)]
struct Extent {
    calls: u64,
    time: Duration,
}

struct Bed {
    conex: Conex,
    registry: Registry,
    archives: Vec<PathBuf>,
    killat: Killat,
    dice: Dice,
    extents: BTreeMap<Verb, Extent>,
    /// How often each was killed.
    deaths: BTreeMap<Verb, usize>,
    round: usize,
}

#[test]
fn layers_in_erofs() {
    needs_root!();
    let conex = Conex::new().with_layers("erofs");
    if conex.run(&["images"]).code != 0 {
        skip!("EROFS cannot be mounted here");
    }
    rounds(conex);
}

#[test]
fn layers_in_directories() {
    needs_root!();
    rounds(Conex::new().with_layers("directories"));
}

fn rounds(conex: Conex) {
    let Some(mut bed) = Bed::new(conex) else {
        skip!("needs docker-registry, skopeo, a C compiler and the fixture images")
    };
    let rounds = deaths().unwrap_or(if all() { ALL_ROUNDS } else { ROUNDS });
    let began = Instant::now();
    for round in 1..=rounds {
        bed.round = round;
        bed.round(round.is_multiple_of(RUNS) || round == rounds);
    }
    println!("{rounds} rounds in {:.1?}; killed: {:?}", began.elapsed(), bed.deaths);
    assert!(bed.deaths.values().sum::<usize>() > rounds / 2, "hardly anything was killed");
    assert_nothing_unlisted(&bed.conex, &["-a"], "the last round");
}

impl Bed {
    fn new(conex: Conex) -> Option<Self> {
        let killat = Killat::new(conex.scratch())?;
        let (archives, registry) = (archives(conex.scratch(), 200_000)?, Registry::start()?);
        registry.fill(&archive("alpine-3.20.oci.tar")?, "alpine:3.20");
        for (number, path) in archives.iter().enumerate() {
            let to = format!("docker://{}/pulled:{number}", registry.address());
            let copied =
                skopeo_copy(&["--dest-tls-verify=false"], &format!("docker-archive:{}", path.display()), &to);
            assert_eq!(copied.code, 0, "{}", copied.stderr);
        }
        // A root filesystem for `import`.
        conex.ok(&["load", "-q", "-i", text(&archives[0])]);
        conex.ok(&["create", "--name", "box", "app:0", "true"]);
        conex.ok(&["export", "-o", text(&conex.scratch().join("rootfs.tar")), "box"]);
        conex.ok(&["rm", "box"]);
        let (extents, deaths) = Default::default();
        Some(Self { conex, registry, archives, killat, dice: dice(), extents, deaths, round: 0 })
    }

    /// One death, and what has to hold after it.
    fn round(&mut self, run: bool) {
        let verb = *self.dice.pick(&VERBS);
        let mut words = self.prepare(verb);
        if !self.extents.contains_key(&verb) {
            let once: Vec<&str> = words.iter().map(String::as_str).collect();
            let began = Instant::now();
            let Traced { said, calls } = self.killat.run(&self.conex, &once, None);
            assert!(said.starts_with("ended"), "{words:?}: {said}");
            self.extents.insert(verb, Extent { calls, time: began.elapsed() });
            self.conex.run(&["image", "unmount", "--all"]);
            words = self.prepare(verb);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let how = self.kill(verb, &words);
        let after = format!("round {}: {words:?} {how}", self.round);
        match verb {
            // What was mounted is listed, or not there.
            Verb::Mount => drop(self.conex.ok(&["image", "unmount", "--all"])),
            Verb::Commit => {
                if !self.conex.ok(&["ps", "-q"]).is_empty() {
                    assert_eq!(self.conex.ok(&["exec", "box", "echo", "awake"]), "awake\n", "{after}");
                }
                self.conex.ok(&["rm", "-f", "box"]);
            }
            _ => {}
        }
        assert_sound(&self.conex, run, &after);
        if self.dice.roll(2) == 0 {
            self.again(verb, &words, &after);
        }
        match self.dice.roll(8) {
            0 => assert_nothing_unlisted(&self.conex, &["-a"], &after),
            1 | 2 => {} // Whoever dies next finds what this one has left.
            _ => assert_nothing_unlisted(&self.conex, &[], &after),
        }
    }

    /// What was killed works the next time.
    fn again(&mut self, verb: Verb, words: &[&str], after: &str) {
        let image = words.last().expect("an image");
        match verb {
            Verb::Pull | Verb::PullIndex => {
                self.conex.ok(words);
                assert_runs(&self.conex, image, after);
            }
            Verb::Push => {
                self.conex.ok(words);
                self.conex.ok(&["rmi", image]);
                self.conex.ok(&["pull", "-q", image]);
                assert_runs(&self.conex, image, after);
            }
            Verb::Remove => {
                self.conex.run(words);
                assert!(
                    !self.conex.images().iter().any(|name| name == image),
                    "{image} is back after {after}"
                );
            }
            // Needs its container, or mounts what would have to be taken off again.
            Verb::Commit | Verb::Mount => {}
            _ => drop(self.conex.ok(words)),
        }
    }

    fn app(&mut self) -> usize {
        usize::try_from(self.dice.roll(APPS as u64)).expect("small")
    }

    fn load(&mut self) -> String {
        let number = self.app();
        self.conex.ok(&["load", "-q", "-i", text(&self.archives[number])]);
        format!("app:{number}")
    }

    /// Brings the store to where the verb has something to do; the verb's words.
    fn prepare(&mut self, verb: Verb) -> Vec<String> {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let scratch = self.conex.scratch().to_owned();
        match verb {
            Verb::Pull | Verb::PullIndex => {
                let number = self.app();
                let name =
                    if verb == Verb::Pull { format!("pulled:{number}") } else { "alpine:3.20".to_owned() };
                let image = format!("{}/{name}", self.registry.address());
                if self.dice.roll(4) > 0 {
                    self.conex.run(&["rmi", &image]);
                }
                owned(&["pull", "-q", &image])
            }
            Verb::Push => {
                let (from, fresh) = (self.load(), self.round);
                // A repository of its own, or one that holds some of it.
                let to = match self.dice.roll(2) {
                    0 => format!("{}/fresh{fresh}:1", self.registry.address()),
                    _ => format!("{}/pushed:1", self.registry.address()),
                };
                self.conex.ok(&["tag", &from, &to]);
                owned(&["push", "-q", &to])
            }
            Verb::Load => {
                let number = self.app();
                if self.dice.roll(4) > 0 {
                    self.conex.run(&["rmi", &format!("app:{number}")]);
                }
                owned(&["load", "-q", "-i", text(&self.archives[number])])
            }
            Verb::Prune | Verb::PruneAll => {
                let from = self.load();
                self.conex.ok(&["tag", &from, "moving"]);
                self.conex.ok(&["rmi", &from]);
                let other = self.load();
                // Now the first has no name, unless it is the same.
                self.conex.ok(&["tag", &other, "moving"]);
                self.conex.run(&["create", "--name", "old", &other, "true"]);
                let what = *self.dice.pick(&["image", "system"]);
                let flags: &[&str] = if verb == Verb::Prune { &["-f"] } else { &["-f", "-a"] };
                owned(&[&[what, "prune"], flags].concat())
            }
            Verb::Remove => {
                let image = self.load();
                owned(&["rmi", "-f", &image])
            }
            Verb::Tag => {
                let from = self.load();
                let to = format!("other:{}", self.dice.roll(2));
                owned(&["tag", &from, &to])
            }
            Verb::Commit => {
                let image = self.load();
                let _ = self.conex.run(&["rm", "-f", "box"]);
                let script = "cp /noise /copy; rm /name; mkdir /deep; echo new >/deep/file";
                self.conex.ok(&["run", "--network", "none", "--name", "box", &image, "sh", "-c", script]);
                if self.dice.roll(2) == 0 {
                    // It is frozen for a while.
                    let sleep = ["run", "-d", "--network", "none", "--name", "box", &image, "sleep", "1000"];
                    self.conex.ok(&["rm", "box"]);
                    self.conex.ok(&sleep);
                    self.conex.ok(&["exec", "box", "sh", "-c", script]);
                }
                owned(&["commit", "box", &format!("committed:{}", self.dice.roll(2))])
            }
            Verb::Import => owned(&[
                "import",
                text(&scratch.join("rootfs.tar")),
                &format!("imported:{}", self.dice.roll(2)),
            ]),
            Verb::Save => {
                let image = self.load();
                owned(&["save", "-o", text(&scratch.join("saved.tar")), &image])
            }
            Verb::Run => {
                let image = self.load();
                owned(&["run", "--rm", "--pull", "never", "--network", "none", &image, "true"])
            }
            Verb::Mount => {
                let image = self.load();
                let _ = std::fs::create_dir(scratch.join("mnt"));
                owned(&["image", "mount", &image, text(&scratch.join("mnt"))])
            }
            Verb::Tree => {
                let image = self.load();
                owned(&["image", "tree", &image])
            }
        }
    }

    /// Kills it at a random point; says at which.
    fn kill(&mut self, verb: Verb, words: &[&str]) -> String {
        let extent = self.extents[&verb];
        let how = if self.dice.roll(4) == 0 {
            self.killed_after(words, extent.time)
        } else {
            let at = self.dice.roll(extent.calls);
            let Traced { said, calls } = self.killat.run(&self.conex, words, Some(at));
            if said.starts_with("ended") {
                let most = extent.calls.min(calls).max(1);
                self.extents.insert(verb, Extent { calls: most, ..extent });
            }
            format!("at call {at} of {}: {said}", extent.calls)
        };
        if !how.contains("ended") {
            *self.deaths.entry(verb).or_default() += 1;
        }
        how
    }

    /// Kills it and its group at some moment; a supervisor has left the group, and lives.
    fn killed_after(&mut self, words: &[&str], time: Duration) -> String {
        let most = u64::try_from(time.as_micros()).expect("short").max(1);
        let after = Duration::from_micros(self.dice.roll(most));
        let mut command = self.conex.command(words);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("conex starts");
        std::thread::sleep(after);
        let ended = child.try_wait().expect("try_wait").is_some();
        let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
        if !ended {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        child.wait().expect("its end");
        format!("{} {after:.1?}", if ended { "ended before" } else { "killed after" })
    }
}
