//! Beside other commands: what these are doing at a moment is no damage, and a repair takes nothing from under them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use conex_tests::{Entry, Forge, archive};

use crate::stores;

#[test]
fn a_sound_store_is_sound_while_others_pull_run_and_prune() {
    for store in stores!(51) {
        let seconds =
            std::env::var("CONEX_HAMMER_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(8);
        let until = Instant::now() + Duration::from_secs(seconds);
        store.registry.fill(&archive("busybox-1.38-musl.oci.tar").expect("busybox"), "some/busybox:1");
        let other = format!("{}/some/busybox:1", store.registry.address());
        let third = Forge::with_busybox().expect("busybox").named("other:1").layer(&[Entry::File("x", b"y")]);
        let third_archive = store.conex.scratch().join("other.tar");
        std::fs::write(&third_archive, third.archive()).expect("written");
        let ended = AtomicBool::new(false);
        let checks = std::thread::scope(|scope| {
            let work = |name: &'static str, steps: Vec<Vec<String>>| {
                let (store, ended) = (&store, &ended);
                scope.spawn(move || {
                    let mut rounds = 0;
                    while !ended.load(Ordering::Relaxed) {
                        for step in &steps {
                            let words: Vec<&str> = step.iter().map(String::as_str).collect();
                            let output = store.run(&words);
                            // Somebody else prunes what this one pulls; a check leases nothing for long.
                            let expected = output.code == 0
                                || [
                                    "no such image",
                                    "at this moment",
                                    "No such image",
                                    "is not here any more",
                                ]
                                .iter()
                                .any(|words| output.stderr.contains(words));
                            assert!(expected, "{name} {words:?}: {output:?}");
                        }
                        rounds += 1;
                    }
                    rounds
                })
            };
            let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
            let pulls =
                work("pull", vec![words(&format!("pull -q {other}")), words(&format!("rmi {other}"))]);
            let loads = work(
                "load",
                vec![
                    words(&format!("load -q -i {}", third_archive.display())),
                    words("run --rm --network none app:1 true"),
                    words("rmi other:1"),
                ],
            );
            let prunes = work("prune", vec![words("system prune -f"), words("image prune -f")]);
            let mut checks = 0;
            let mut failure = None;
            while Instant::now() < until && failure.is_none() {
                let flags: &[&str] = if checks % 3 == 2 { &["--repair"] } else { &[] };
                let (code, findings) = store.check(flags);
                if code != 0 || !findings.is_empty() {
                    failure = Some((checks, code, findings));
                }
                checks += 1;
            }
            ended.store(true, Ordering::Relaxed);
            let rounds = [pulls, loads, prunes].map(|worker| worker.join().expect("a worker"));
            assert!(failure.is_none(), "{}: {failure:#?}", store.form);
            assert!(rounds.iter().all(|rounds| *rounds > 1), "{rounds:?}");
            checks
        });
        assert!(checks > 3, "{checks}");
        store.ok(&["system", "prune", "-f"]);
        store.assert_sound();
        store.all_run();
    }
}
