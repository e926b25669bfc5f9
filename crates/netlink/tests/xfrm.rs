//! Associations and policies, made here and read back by ip(8).

mod own;

use std::net::IpAddr;

use conex_netlink::xfrm::{Direction, Keys, NewState, Policy, Selector, State, Xfrm};
use own::sh;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const V4: Selector = Selector { is_v4: true, port: 4789 };
const V6: Selector = Selector { is_v4: false, port: 4789 };

/// `None`, having said so, where there can be none.
fn xfrm() -> Option<Xfrm> {
    if !own::enter() {
        return None;
    }
    match Xfrm::open() {
        Ok(xfrm) => Some(xfrm),
        Err(error) => {
            println!("skipped: this kernel has no NETLINK_XFRM: {error}");
            None
        }
    }
}

#[test]
fn policies() {
    let Some(mut xfrm) = xfrm() else { return };
    let policies = [(V4, Direction::In), (V4, Direction::Out), (V6, Direction::In), (V6, Direction::Out)];
    for (selector, direction) in policies {
        assert_eq!(xfrm.policy(direction, selector).unwrap(), None);
        // Twice is once.
        for reqid in [7, 8] {
            xfrm.set_policy(&Policy { direction, selector, reqid }).unwrap();
            assert_eq!(xfrm.policy(direction, selector).unwrap(), Some(reqid));
        }
    }
    let other = Selector { port: 4790, ..V4 };
    assert_eq!(xfrm.policy(Direction::In, other).unwrap(), None);
    let shown = sh("ip -s xfrm policy");
    for part in [
        "src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport 4789",
        "src ::/0 dst ::/0 proto udp dport 4789",
        "dir in action allow",
        "dir out action allow",
        "priority 1",
        "limit: soft (INF)(bytes), hard (INF)(bytes)",
        "expire add: soft 0(sec), hard 0(sec)",
        "proto esp spi 0x00000000(0) reqid 8(0x00000008) mode transport",
        "level required share any",
        "enc-mask ffffffff auth-mask ffffffff comp-mask ffffffff",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    for (selector, direction) in policies {
        xfrm.delete_policy(direction, selector).unwrap();
        assert!(xfrm.delete_policy(direction, selector).unwrap_err().is_gone());
    }
    assert_eq!(sh("ip xfrm policy"), "");
    // Another program's that asks for nothing.
    sh("ip xfrm policy add src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport 4789 dir in");
    assert_eq!(xfrm.policy(Direction::In, V4).unwrap(), Some(0));
}

#[test]
fn associations() {
    let Some(mut xfrm) = xfrm() else { return };
    if !xfrm.has_esp(true).unwrap() {
        // A question leaves nothing, whatever the answer.
        assert_eq!(sh("ip xfrm state"), "");
        println!("skipped: this kernel has no ESP, or not the algorithms");
        return;
    }
    assert!(xfrm.has_esp(false).unwrap());
    assert_eq!(sh("ip xfrm state"), "");
    let keys = Keys { encryption: [0xaa; 32], authentication: [0xbb; 32] };
    assert_eq!(format!("{keys:?}"), "Keys(…)");
    let mut all = Vec::new();
    for (selector, source, destination) in
        [(V4, "192.0.2.1", "192.0.2.2"), (V6, "2001:db8::1", "2001:db8::2")]
    {
        let state = State { source: ip(source), destination: ip(destination), spi: 0x1234_5678, reqid: 9 };
        let new = NewState { state, selector, keys: keys.clone() };
        xfrm.add_state(&new).unwrap();
        let again = xfrm.add_state(&new).unwrap_err();
        assert!(again.is_there() && again.to_string().contains("0x12345678"), "{again}");
        all.push(state);
    }
    let there = xfrm.states().unwrap();
    assert!(there.len() == 2 && all.iter().all(|state| there.contains(state)), "{there:?}");
    let shown = sh("ip -s xfrm state");
    for part in [
        "src 192.0.2.1 dst 192.0.2.2",
        "src 2001:db8::1 dst 2001:db8::2",
        "proto esp spi 0x12345678(305419896) reqid 9(0x00000009) mode transport",
        "replay-window 0",
        "extra_flag oseq-may-wrap",
        &format!("auth-trunc hmac(sha256) 0x{} (256 bits) 128", "bb".repeat(32)),
        &format!("enc cbc(aes) 0x{} (256 bits)", "aa".repeat(32)),
        "sel src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport 4789",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    for state in &all {
        xfrm.delete_state(state).unwrap();
        assert!(xfrm.delete_state(state).unwrap_err().is_gone());
    }
    assert_eq!(sh("ip xfrm state"), "");
}
