//! CNI for who has a namespace and no engine, as a CRI server has: Debian's plugins on a host of the test's own.

#![allow(missing_docs)]

mod host;

use std::path::Path;
use std::time::Duration;

use conex_network::cni::{Cni, Request, Settings, is_namespace};
use host::{Host, sh};

const PLUGINS: &str = "/usr/lib/cni";

#[test]
fn a_sandbox_on_a_network() {
    if !Path::new(PLUGINS).join("bridge").exists() {
        return println!("skipped: no containernetworking-plugins in {PLUGINS}");
    }
    let Some(host) = Host::new() else { return };
    let root = host.directory.path();
    let config = root.join("net.d");
    std::fs::create_dir(&config).unwrap();
    let ipam = format!(
        r#"{{"type": "host-local", "dataDir": "{0}/leases", "ranges": [[{{"subnet": "10.77.0.0/24"}}]]}}"#,
        root.display()
    );
    let list = format!(
        r#"{{"cniVersion": "1.0.0", "name": "pods", "plugins": [
            {{"type": "bridge", "bridge": "pods0", "isGateway": true, "ipam": {ipam}}}, {{"type": "loopback"}}]}}"#
    );
    std::fs::write(config.join("10-pods.conflist"), list).unwrap();
    sh("mount -t tmpfs tmpfs /run && ip netns add sandbox");
    let settings = Settings { config, plugins: vec![PLUGINS.into()], timeout: Duration::from_secs(30) };
    let cni = Cni::open(settings, root);

    let pods = cni.find("pods").unwrap();
    cni.status(&pods).unwrap();
    assert!(cni.versions(&pods, &pods.plugins[0]).unwrap().contains(&"1.0.0".to_owned()));
    let request = Request {
        netns: "/run/netns/sandbox".into(),
        device: "eth0".to_owned(),
        ips: vec![[10, 77, 0, 9].into()],
        ..Request::default()
    };
    assert!(is_namespace(&request.netns) && !is_namespace(root));
    let attachment = cni.add(&pods, "pod-1_a.b", &request).unwrap();
    assert_eq!(attachment.given().ips[0].address.to_string(), "10.77.0.9/24");
    assert_eq!(attachment.endpoint().gateways, [std::net::IpAddr::from([10, 77, 0, 1])]);
    assert_eq!(cni.attachments_of("pod-1_a.b").unwrap(), std::slice::from_ref(&attachment));
    assert!(cni.attachments_of("pod-1_a").unwrap().is_empty(), "another's");
    cni.check(&attachment).unwrap();
    sh("ip netns exec sandbox ip address del 10.77.0.9/24 dev eth0");
    let error = cni.check(&attachment).unwrap_err().to_string();
    assert!(error.starts_with("network pods: CNI plugin bridge, CHECK: "), "{error}");
    // To add is to delete before.
    let again = cni.add(&pods, "pod-1_a.b", &request).unwrap();
    cni.check(&again).unwrap();
    cni.collect(&pods).unwrap();
    sh("ip netns del sandbox");
    // The namespace is gone, and may go.
    cni.delete(&again).unwrap();
    cni.delete(&again).unwrap();
    assert!(cni.attachments().unwrap().is_empty());
    assert!(!root.join("leases/pods/10.77.0.9").exists());
    let gone = cni.add(&pods, "pod-2", &request).unwrap_err().to_string();
    assert!(gone.starts_with("network pods: CNI plugin bridge, ADD: failed to open netns"), "{gone}");
    assert!(cni.attachments().unwrap().is_empty());
}
