//! Sudden death of those who put containers on networks of CNI: the next command has the plugins delete what they had added.
//!
//! In a run of the suite at some thirty system calls of a start; at every eleventh with `CONEX_FAULTS=all`.

#![allow(missing_docs)]

use conex_tests::{CniYard, Killat, Points, cni_yard, eventually, skip};
use serde_json::json;

const POINTS: Points = Points { some: 30, every: 11, kills: 15 };

/// A plugin that keeps a directory for each container, and would refuse a second ADD.
const KEEPS: &str = r#"
case $CNI_COMMAND in
ADD) if rmdir "$0.armed" 2>/dev/null; then kill -9 $PPID; sleep 2; fi
    mkdir "$0.$CNI_CONTAINERID" || exit 1
    printf '{"cniVersion":"1.0.0","ips":[{"address":"10.90.0.5/24"}]}' ;;
DEL) rmdir "$0.$CNI_CONTAINERID" 2>/dev/null || true ;;
esac
"#;

fn kept(cni: &CniYard) -> Vec<String> {
    let names = std::fs::read_dir(cni.plugins()).expect("a directory").flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.len() > 64).collect()
}

#[test]
fn a_start_that_is_killed_leaves_nothing() {
    let cni = cni_yard!();
    let conex = &cni.yard.conex;
    let Some(killat) = Killat::new(conex.scratch()) else { skip!("no C compiler") };
    cni.plugin("first", KEEPS);
    cni.plugin("second", KEEPS);
    let list =
        json!({"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "first"}, {"type": "second"}]});
    cni.define("net.conflist", &list);
    conex.ok(&["network", "create", "own"]);
    let words =
        ["run", "--rm", "--name", "victim", "--network", "net", "--network", "own", cni.yard.image, "true"];
    let clear = |after: &str| {
        // The plugins' own end may come a moment after those who had started them.
        eventually(&format!("nothing to be left ({after})"), || {
            conex.ok(&["ps", "-a"]);
            let left = [kept(&cni), cni.attachments("net")].concat();
            (left.iter().all(|name| name.starts_with('.')) && !cni.holds_namespaces()).then_some(())
        });
        assert!(cni.yard.leases("own").is_empty(), "{after}");
    };
    killat.each(conex, &words, POINTS, |_| (), |_, after| clear(after));
    conex.ok(&words);
    clear("a run to its end");
    conex.ok(&["network", "prune", "-f"]);
    assert!(cni.attachments("net").is_empty());
}

#[test]
fn a_plugin_that_goes_on_when_its_owner_was_killed() {
    let cni = cni_yard!();
    let (conex, image) = (&cni.yard.conex, cni.yard.image);
    cni.plugin("first", KEEPS);
    cni.define("net.conf", &json!({"cniVersion": "1.0.0", "name": "net", "type": "first"}));
    std::fs::create_dir(cni.plugins().join("first.armed")).expect("a directory");
    let refused = conex.fails(125, &["run", "--name", "victim", "--network", "net", image, "true"]);
    assert!(refused.contains("supervisor died") && kept(&cni).is_empty(), "{refused}");
    // It is waited for, and then told to delete what it has added meanwhile.
    conex.ok(&["ps", "-a"]);
    assert_eq!(cni.commands("first"), ["ADD", "DEL"]);
    assert!(kept(&cni).is_empty());
    cni.assert_clear("net");
    conex.ok(&["rm", "victim"]);
    let directory = conex.root().join("cni/net");
    let names: Vec<_> =
        std::fs::read_dir(directory).expect("a directory").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, [".lock"], "no lock of its own is left");
}

#[test]
fn a_killed_supervisor_and_a_machine_that_went_down() {
    let cni = cni_yard!();
    let (yard, conex) = (&cni.yard, &cni.yard.conex);
    cni.bridge("net", "10.77.0.0/24", &[json!({"type": "portmap", "capabilities": {"portMappings": true}})]);
    yard.serve("web", &["--network", "net", "-p", "8080:80"]);
    yard.kill_supervisor("web");
    eventually("the next command to clear it", || {
        conex.ok(&["ps", "-a"]);
        cni.leases("net").is_empty().then_some(())
    });
    cni.assert_clear("net");
    // A machine that goes down takes RUN with it, and all rules; leases are on disk. One container is never started again, one goes,
    // and one was for a single run.
    conex.ok(&["start", "web"]);
    yard.serve("gone", &["--network", "net"]);
    yard.serve("once", &["--rm", "--network", "net"]);
    assert_eq!(cni.leases("net").len(), 3);
    for name in ["web", "gone", "once"] {
        let pid = conex.ok(&["inspect", "-f", "{{.State.Pid}}", name]);
        yard.kill_supervisor(name);
        yard.host.sh(&format!("kill -9 {}", pid.trim()));
    }
    let run = conex.run_root().display().to_string();
    yard.host.sh(&format!(
        "grep -o '{run}[^ ]*' /proc/self/mounts | sort -r | xargs -r umount -l; rm -rf {run}/*; nft flush ruleset"
    ));
    assert_eq!(cni.leases("net").len(), 3);
    let shown = conex.ok(&["run", "--rm", "--network", "net", yard.image, "ip", "-o", "address"]);
    assert!(shown.contains("inet 10.77.0."), "{shown}");
    cni.assert_clear("net");
    conex.ok(&["start", "web"]);
    conex.ok(&["rm", "-f", "web", "gone"]);
    cni.assert_clear("net");
}

#[test]
fn many_at_once() {
    let cni = cni_yard!();
    let (yard, conex) = (&cni.yard, &cni.yard.conex);
    cni.bridge("net", "10.77.0.0/24", &[]);
    let outputs = std::thread::scope(|scope| {
        let script = "ip -4 -o address show eth0 | sed 's/.*inet //; s/ .*//'; sleep 1";
        let run = || conex.run(&["run", "--rm", "--network", "net", yard.image, "sh", "-c", script]);
        let threads: Vec<_> = (0..12).map(|_| scope.spawn(run)).collect();
        // Who collects meanwhile is in nobody's way.
        for _ in 0..3 {
            assert_eq!(conex.run(&["network", "prune", "-f"]).stderr, "");
        }
        threads.into_iter().map(|thread| thread.join().expect("a thread")).collect::<Vec<_>>()
    });
    let mut addresses: Vec<_> = outputs.iter().map(|output| output.stdout.trim().to_owned()).collect();
    addresses.sort();
    addresses.dedup();
    let said: Vec<_> = outputs.iter().map(|output| output.stderr.as_str()).collect();
    assert!(addresses.len() == 12 && said.iter().all(|text| text.is_empty()), "{addresses:?} {said:?}");
    cni.assert_clear("net");
}
