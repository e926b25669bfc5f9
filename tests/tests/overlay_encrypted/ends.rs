//! What is left of an encrypted network, whoever is killed when; and what cannot be beside it.

use std::process::{Command, Stdio};

use conex_tests::{eventually, finish, installed, skip};

use super::wire::{ONE, PEERS, TWO, Wire, assert_nothing, associations, create};

#[test]
fn nothing_is_left_of_it() {
    let Some(wire) = Wire::new() else { return };
    let yard = &wire.here;
    wire.mesh(&[ONE, TWO], &[PEERS]);
    // Several at once, none of which has anything before it.
    let run = || yard.conex.run(&["run", "--rm", "--network", "mesh", yard.image, "true"]);
    let outputs = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).collect::<Vec<_>>()
    });
    assert!(outputs.iter().all(|output| output.code == 0 && output.stderr.is_empty()), "{outputs:?}");
    assert_eq!(associations(yard), 6);
    assert_eq!(yard.conex.ok(&["network", "rm", "mesh"]), "mesh\n");
    assert_nothing(yard);
    // Halves, as a start or a removal leaves them that is killed between two steps.
    for loss in [
        "ip xfrm policy deleteall dir in",
        "ip xfrm policy deleteall",
        "ip xfrm state deleteall dst 198.51.100.1",
    ] {
        wire.mesh_again(&[ONE, TWO]);
        assert_eq!(run().code, 0);
        let devices = "ip -o link | grep -oE '(vx|cx)-[0-9a-f]+' | sort -u";
        yard.host.sh(&format!("{devices} | while read device; do ip link del $device; done; {loss}"));
        yard.conex.ok(&["network", "rm", "mesh"]);
        assert_nothing(yard);
    }

    // Another program's stay.
    yard.host.sh(
        "ip xfrm policy add src 198.51.100.7 dst 198.51.100.8 dir out tmpl proto esp reqid 7 mode transport",
    );
    wire.mesh_again(&[ONE, TWO]);
    yard.conex.ok(&["run", "-d", "--name", "web", "--network", "mesh", yard.image, "sleep", "100"]);
    yard.kill_supervisor("web");
    eventually("the next command", || yard.conex.ok(&["ps", "-q"]).is_empty().then_some(()));
    yard.conex.ok(&["rm", "-f", "web"]);
    yard.conex.ok(&["network", "rm", "mesh"]);
    let left = yard.host.sh("ip xfrm state; ip xfrm policy");
    assert!(!left.contains("4789") && left.contains("reqid 7") && associations(yard) == 0, "{left}");
}

/// The process that makes it is killed as it sends one of its netlink messages, each time a later one.
#[test]
fn a_start_that_is_killed_leaves_nothing_of_it() {
    let Some(wire) = Wire::new() else { return };
    if !installed("strace") {
        skip!("strace is not installed");
    }
    let yard = &wire.here;
    let (mut killed, mut halves) = (0, 0);
    for message in (2..48).step_by(3) {
        wire.mesh_again(&[ONE, TWO]);
        let run = yard.conex.command(&["run", "--rm", "--network", "mesh", yard.image, "true"]);
        let mut traced = Command::new("strace");
        traced.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=sendto", "-e"]);
        traced.arg(format!("inject=sendto:signal=KILL:when={message}"));
        traced.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = finish(traced.arg(run.get_program()).args(run.get_args()).stdin(Stdio::null()));
        killed += i32::from(output.code != 0);
        let policies = yard.host.sh("ip xfrm policy").matches("proto esp").count();
        halves += i32::from((1..8).contains(&(associations(yard) + policies)));
        eventually("the next command", || {
            yard.conex.run(&["ps", "-a"]);
            (yard.conex.run(&["network", "rm", "mesh"]).code == 0).then_some(())
        });
        assert_nothing(yard);
    }
    assert!(killed > 3 && halves > 1, "{killed} killed, {halves} in the middle of it");
}

#[test]
fn a_port_is_its_own() {
    let Some(wire) = Wire::new() else { return };
    let yard = &wire.here;
    let says = |made: conex_tests::Output, words: &str| {
        assert!(
            made.code != 0 && made.stderr.contains(words) && made.stderr.lines().count() == 1,
            "{}",
            made.stderr
        );
    };
    wire.mesh(&[ONE], &[PEERS]);
    let alone =
        "network mesh has port 4789, and an encrypted network has its port alone; give another by -o port=";
    says(create(yard, "more", "10.41.0.0/24", "10.41.0.0/25", &[ONE], &[]), alone);
    let plain = ["network", "create", "-d", "overlay", "--subnet", "10.41.0.0/24"];
    says(yard.conex.run(&[&plain[..], &["open"]].concat()), alone);
    let made = create(yard, "more", "10.41.0.0/24", "10.41.0.0/25", &[ONE], &["port=4790", PEERS]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    for network in ["mesh", "more"] {
        yard.conex.ok(&["run", "--rm", "--network", network, yard.image, "true"]);
    }
    assert_eq!(associations(yard), 8);
    yard.conex.ok(&["network", "rm", "more"]);
    assert_eq!(associations(yard), 4);
    assert!(!yard.host.sh("ip xfrm policy").contains("dport 4790"));
    // Somebody else's tunnel, and somebody else's policy.
    yard.conex.ok(&["network", "rm", "mesh"]);
    wire.mesh_again(&[ONE]);
    let start = || yard.conex.run(&["run", "--rm", "--network", "mesh", yard.image, "true"]);
    yard.host.sh("ip link add flannel.1 type vxlan id 1 dstport 4789 local 198.51.100.1");
    says(start(), "and the device flannel.1 is at UDP port 4789; give another by -o port=");
    yard.host.sh(
        "ip link del flannel.1 && ip xfrm policy add src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport 4789 dir in",
    );
    says(start(), "and a policy of another program's is for UDP port 4789");
    assert_eq!(associations(yard), 0, "nothing is left of what cannot be");
    yard.host.sh("ip xfrm policy flush");
    assert_eq!(start().code, 0);
    // And somebody else's SPI.
    let spi =
        yard.host.sh("ip xfrm state list src 198.51.100.1 dst 198.51.100.2 | grep -oE 'spi 0x[0-9a-f]+'");
    yard.conex.ok(&["network", "rm", "mesh"]);
    let keys = format!("enc 'cbc(aes)' 0x{} auth 'hmac(sha256)' 0x{}", &ONE[..32], ONE);
    yard.host.sh(&format!(
        "ip xfrm state add src 198.51.100.9 dst 198.51.100.2 proto esp {} reqid 5 mode transport {keys}",
        spi.trim()
    ));
    wire.mesh_again(&[ONE]);
    says(start(), "to 198.51.100.2 is taken, by another program or by chance: give the network another key");
    assert_eq!((associations(yard), yard.host.sh("ip xfrm policy").as_str()), (1, ""));
}
