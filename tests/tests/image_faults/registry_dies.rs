//! A registry that dies at some byte of a pull or a push, and comes back later or not at all: one line says so, nothing is listed
//! that is not whole, half of what came is gone on with, or goes with a prune.

use conex_tests::{Conex, Dice, Mortal, Output, Registry, Way, archive, needs_root, skip, skopeo_copy};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::aftermath::{assert_nothing_unlisted, assert_runs, assert_sound, listed};
use crate::{all, archives, dice, text};

/// Deaths at once: a client that tries again for some seconds does little meanwhile.
const DEATHS: u64 = 8;
/// With `CONEX_FAULTS=all`.
const ALL_DEATHS: u64 = 96;
/// Of them at the same time.
const AT_ONCE: u64 = 16;
/// Bytes that may have been on the way when it died.
const LOST: u64 = 300_000;

/// A registry with `pulled:3` and a two-platform `alpine:3.20`, and what it was filled from.
struct Source {
    registry: Registry,
    home: Conex,
    archives: Vec<std::path::PathBuf>,
}

impl Source {
    fn new() -> Option<Self> {
        let (home, registry) = (Conex::new(), Registry::start()?);
        let archives = archives(home.scratch(), 400_000)?;
        registry.fill(&archive("alpine-3.20.oci.tar")?, "alpine:3.20");
        let from = format!("docker-archive:{}", archives[3].display());
        let to = format!("docker://{}/pulled:3", registry.address());
        let copied = skopeo_copy(&["--dest-tls-verify=false"], &from, &to);
        assert_eq!(copied.code, 0, "{}", copied.stderr);
        Some(Self { registry, home, archives })
    }

    /// Another store, with an image in it already.
    fn conex(&self) -> Conex {
        let conex = Conex::new();
        conex.ok(&["load", "-q", "-i", text(&self.archives[0])]);
        conex
    }
}

macro_rules! source {
    () => {{
        needs_root!();
        let Some(source) = Source::new() else {
            skip!("needs docker-registry, skopeo and the fixture images")
        };
        source
    }};
}

/// Calls `death` with the place of each, a share of 1,000,000 of all bytes, many at a time. The first and the last bytes are always
/// among them.
fn each(death: impl Fn(u64) + Sync) {
    let (deaths, mut dice) = (if all() { ALL_DEATHS } else { DEATHS }, dice());
    let share = |number: u64, dice: &mut Dice| match number {
        0 => 0,
        1 => 999_999,
        _ => dice.roll(1_000_000),
    };
    let shares: Vec<u64> = (0..deaths).map(|number| share(number, &mut dice)).collect();
    for some in shares.chunks(usize::try_from(AT_ONCE).expect("small")) {
        std::thread::scope(|scope| {
            for share in some {
                scope.spawn(|| death(*share));
            }
        });
    }
}

#[track_caller]
fn assert_one_line(output: &Output, what: &str) {
    let line = output.stderr.trim_end_matches('\n');
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{what}: {output:?}");
    assert!(line.lines().count() == 1 && line.starts_with("conex: "), "{what}: {line}");
    // Who is to blame, and not the bytes that have not come.
    assert!(line.contains("127.0.0.1:"), "{what}: {line}");
    assert!(
        !line.contains("corrupt") && !line.contains("wrong size") && !line.contains("os error"),
        "{what}: {line}"
    );
}

#[test]
fn in_the_middle_of_a_pull() {
    let source = source!();
    for name in ["pulled:3", "alpine:3.20"] {
        let whole = Mortal::new(&source.registry.address(), Way::Down, u64::MAX);
        let conex = source.conex();
        conex.ok(&["pull", "-q", &format!("{}/{name}", whole.address())]);
        let bytes = whole.carried();
        each(|share| {
            let limit = bytes * share / 1_000_000;
            let what = format!("the death of {name}'s registry at byte {limit} of {bytes}");
            let mortal = Mortal::new(&source.registry.address(), Way::Down, limit);
            let (conex, image) = (source.conex(), format!("{}/{name}", mortal.address()));
            let there = listed(&conex);
            let output = conex.run(&["pull", "-q", &image]);
            assert!(mortal.is_dead(), "{what}: {output:?}");
            assert_one_line(&output, &what);
            assert_eq!(listed(&conex), there, "{what}");
            assert_sound(&conex, false, &what);
            let prunes = share % 2 == 0;
            if prunes {
                assert_nothing_unlisted(&conex, &[], &what);
            }
            let before = mortal.carried();
            mortal.revive();
            conex.ok(&["pull", "-q", &image]);
            let again = mortal.carried() - before;
            if !prunes {
                assert!(again + limit < bytes + LOST, "{what}: {again} bytes came again");
            }
            assert_runs(&conex, &image, &what);
            assert_sound(&conex, false, &what);
            assert_nothing_unlisted(&conex, &[], &what);
        });
    }
}

#[test]
fn in_the_middle_of_a_push() {
    let source = source!();
    let fresh = |number: u64| format!("fresh{number}:1");
    let push = |conex: &Conex, mortal: &Mortal, name: &str| {
        conex.ok(&["load", "-q", "-i", text(&source.archives[3])]);
        let image = format!("{}/{name}", mortal.address());
        conex.ok(&["tag", "app:3", &image]);
        (conex.run(&["push", "-q", &image]), image)
    };
    let whole = Mortal::new(&source.registry.address(), Way::Up, u64::MAX);
    let (output, image) = push(&source.home, &whole, &fresh(1_000_000));
    assert_eq!(output.code, 0, "{output:?}");
    let (bytes, id) = (whole.carried(), source.home.ok(&["images", "-q", "--no-trunc", &image]));
    each(|share| {
        // A registry that has all bytes of the last request is as good as one that has answered.
        let limit = (bytes * share / 1_000_000).min(bytes - 1000);
        let what = format!("the registry's death at byte {limit} of a push of {bytes}");
        // Each has nothing that another has pushed: all would be there already.
        let Some(registry) = Registry::start() else { return };
        let mortal = Mortal::new(&registry.address(), Way::Up, limit);
        let conex = source.conex();
        let (output, image) = push(&conex, &mortal, &fresh(share));
        assert!(mortal.is_dead(), "{what}: {output:?}");
        assert_one_line(&output, &what);
        assert_sound(&conex, false, &what);
        mortal.revive();
        conex.ok(&["push", "-q", &image]);
        let other = source.conex();
        other.ok(&["pull", "-q", &image]);
        assert_eq!(other.ok(&["images", "-q", "--no-trunc", &image]), id, "{what}");
        assert_runs(&other, &image, &what);
        assert_nothing_unlisted(&conex, &[], &what);
    });
}

/// Not the way to it, but the program itself.
#[test]
fn by_sigkill() {
    let mut source = source!();
    let mut dice = dice();
    for way in [Way::Down, Way::Up] {
        let limit = 100_000 + dice.roll(600_000);
        let what = format!("SIGKILL of docker-registry at byte {limit}, {way:?}");
        let pid = i32::try_from(source.registry.id()).ok().and_then(Pid::from_raw);
        let process = pidfd_open(pid.expect("a pid"), PidfdFlags::empty()).expect("it lives");
        let mortal = Mortal::new(&source.registry.address(), way, limit).with_last_deed(move || {
            pidfd_send_signal(process, Signal::KILL).expect("it has not ended");
        });
        let conex = source.conex();
        let image = match way {
            Way::Down => format!("{}/pulled:3", mortal.address()),
            Way::Up => {
                let image = format!("{}/killed:1", mortal.address());
                conex.ok(&["load", "-q", "-i", text(&source.archives[2])]);
                conex.ok(&["tag", "app:2", &image]);
                image
            }
        };
        let verb = if way == Way::Down { "pull" } else { "push" };
        let output = conex.run(&[verb, "-q", &image]);
        assert!(mortal.is_dead(), "{what}: {output:?}");
        assert_one_line(&output, &what);
        assert_sound(&conex, true, &what);
        drop(mortal);
        source.registry.start_again();
        let image = image.replace(image.split('/').next().expect("a host"), &source.registry.address());
        if way == Way::Up {
            conex.ok(&["tag", "app:2", &image]);
        }
        conex.ok(&[verb, "-q", &image]);
        conex.run(&["rmi", &image]);
        conex.ok(&["pull", "-q", &image]);
        assert_runs(&conex, &image, &what);
        assert_nothing_unlisted(&conex, &[], &what);
    }
}
