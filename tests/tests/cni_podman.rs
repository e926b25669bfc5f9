//! The same network of CNI with Conex and with podman (whose backend for it is libcni): what its plugins are asked, call by call.

#![allow(missing_docs)]

use conex_tests::{CniYard, Enclosure, archive, cni_yard, lacks, skip};
use serde_json::{Value, json};

const IMAGE: &str = "busybox:1.38.0-musl";

/// A script that records, and gives a result that is nobody's device.
const SCRIPT: &str = r#"
[ "$CNI_COMMAND" != VERSION ] || echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'
[ "$CNI_COMMAND" = ADD ] || exit 0
printf '{"cniVersion":"1.0.0","interfaces":[{"name":"%s","mac":"02:00:00:00:00:07","sandbox":"x"}],"ips":[{"address":"10.90.0.5/24","interface":0}],"dns":{}}' "$CNI_IFNAME"
"#;

/// What names the container, or the place where its files are, and what the two tell apart on purpose.
fn comparable(asked: &[Value]) -> Vec<Value> {
    // Podman asks for that when it reads files.
    let mut all: Vec<_> = asked.iter().filter(|one| one["command"] != "VERSION").cloned().collect();
    for one in &mut all {
        for name in ["container", "path"] {
            assert!(one[name].as_str().is_some_and(|text| !text.is_empty()), "{one}");
            one[name] = json!("");
        }
        // At a DEL the namespace may be gone.
        one["netns"] = json!("");
        // A name of the container's, too.
        if let Some(short) = one.pointer_mut("/config/runtimeConfig/aliases/net/1") {
            assert_eq!(short.as_str().map(str::len), Some(12));
            *short = json!("");
        }
        // Podman keeps them in a map by address, which has no order.
        if let Some(ports) = one.pointer_mut("/config/runtimeConfig/portMappings") {
            ports.as_array_mut().expect("a list").sort_by_key(|port| port["containerPort"].as_u64());
        }
        // The specification has it removed (SPEC.md 1.0.0, section 3); libcni leaves it.
        one["config"].as_object_mut().expect("a map").remove("capabilities");
    }
    all
}

/// The network's file, for both.
fn list() -> Value {
    json!({"cniVersion": "1.0.0", "name": "net", "plugins": [
        {"type": "first", "text": "ä", "number": 1500, "nothing": null, "ipam": {"type": "none", "ranges": []}},
        {"type": "second", "capabilities": {"portMappings": true}},
        {"type": "dnsname", "domainName": "dns.podman", "capabilities": {"aliases": true}},
    ]})
}

fn ask_ours(cni: &CniYard, words: &[&str]) {
    cni.define("net.conflist", &list());
    cni.yard.conex.ok(&[words, &[IMAGE, "true"]].concat());
}

#[test]
fn plugins_are_asked_the_same() {
    let cni = cni_yard!();
    if let Some(program) = lacks(&["podman", "conmon", "unshare", "nsenter", "ip"]) {
        skip!("{program} is not installed");
    }
    let Some(image) = archive("busybox-1.38-musl.oci.tar") else {
        skip!("no busybox image (CONEX_TEST_IMAGES)")
    };
    let Some(enclosure) = Enclosure::new("cni") else { skip!("no namespaces here") };
    // Libcni's own records go below it.
    assert_eq!(enclosure.run(&["mount", "-t", "tmpfs", "tmpfs", "/var/lib"]).code, 0);
    let scripts = ["first", "second", "dnsname"];
    scripts.iter().for_each(|name| cni.plugin(name, SCRIPT));
    let words = [
        "run",
        "--rm",
        "--name",
        "one",
        "--network",
        "net:ip=10.90.0.5,mac=02:00:00:00:00:07,alias=db",
        "-p",
        "8080:80",
        "-p",
        "127.0.0.1:5353:53/udp",
    ];
    ask_ours(&cni, &words);
    let ours: Vec<_> = scripts.iter().map(|name| comparable(&cni.asked(name))).collect();
    assert!(ours.iter().all(|asked| asked.len() == 2), "{ours:?}");
    for name in scripts {
        std::fs::remove_file(cni.plugins().join(format!("{name}.asked"))).expect("a record");
    }

    let networks = enclosure.at("net.d");
    std::fs::create_dir(&networks).expect("a directory");
    std::fs::write(format!("{networks}/net.conflist"), list().to_string()).expect("a file");
    enclosure.set_up_podman(&format!(
        "[network]\nnetwork_backend = \"cni\"\ncni_plugin_dirs = [{:?}]\n",
        cni.plugins()
    ));
    let podman = |words: &[&str]| enclosure.podman(&[&["--network-config-dir", &networks], words].concat());
    let backend = podman(&["info", "-f", "{{.Host.NetworkBackend}}"]);
    if backend.stdout.trim() != "cni" {
        skip!("this podman has no backend for CNI: {}{}", backend.stdout.trim(), backend.stderr.trim());
    }
    let loaded = podman(&["load", "--quiet", "--input", image.to_str().expect("UTF-8")]);
    assert_eq!(loaded.code, 0, "{}", loaded.stderr);
    let ran = podman(&[&words[..], &["--cgroup-parent", enclosure.cgroup(), IMAGE, "true"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let theirs: Vec<_> = scripts.iter().map(|name| comparable(&cni.asked(name))).collect();
    assert_eq!(ours, theirs);
}
