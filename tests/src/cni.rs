//! A yard with networks of CNI: files of the test's own, Debian's plugins, and plugins that are scripts and record what they are asked.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{Yard, installed};

/// Where Debian's containernetworking-plugins are.
const DEBIANS: &str = "/usr/lib/cni";

/// What a plugin that is a script begins with: it writes down what it is asked, one JSON object a line, and has `$CONFIG`.
const RECORD: &str = r#"#!/bin/sh
CONFIG=$(cat)
printf '{"command":"%s","container":"%s","netns":"%s","ifname":"%s","args":"%s","path":"%s","config":%s}\n' \
    "$CNI_COMMAND" "$CNI_CONTAINERID" "$CNI_NETNS" "$CNI_IFNAME" "$CNI_ARGS" "$CNI_PATH" "$CONFIG" >>"$0.asked"
"#;

/// A [`Yard`], plugins, and files for them.
#[derive(Debug)]
pub struct CniYard {
    /// The host, and the installation on it.
    pub yard: Yard,
}

impl CniYard {
    /// `None`, with a word why, where there can be none.
    ///
    /// # Panics
    /// When a file cannot be written.
    pub fn new() -> Option<Self> {
        if !PathBuf::from(DEBIANS).join("bridge").is_file() || !installed("iptables") {
            println!("skipped: no containernetworking-plugins in {DEBIANS}, or no iptables");
            return None;
        }
        let this = Self { yard: Yard::new()? };
        // Plugins keep things below /run, of which this host has its own.
        this.yard.host.sh("mount -t tmpfs tmpfs /run");
        for directory in [this.plugins(), this.yard.conex.cni_networks()] {
            fs::create_dir_all(directory).expect("a directory");
        }
        this.configure(10);
        Some(this)
    }

    /// Where the test's own plugins are.
    pub fn plugins(&self) -> PathBuf {
        self.yard.conex.scratch().join("plugins")
    }

    /// How long a plugin may take.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn configure(&self, seconds: u32) {
        let plugins = [self.plugins(), DEBIANS.into()];
        let text = format!("[cni]\nplugins = {plugins:?}\ntimeout = {seconds}\n");
        self.yard.conex.configure(&text);
    }

    /// Writes a network's file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn define(&self, file: &str, document: &Value) {
        fs::write(self.yard.conex.cni_networks().join(file), document.to_string()).expect("a network's file");
    }

    /// A network of a bridge, with other plugins behind it.
    pub fn bridge(&self, name: &str, subnet: &str, more: &[Value]) {
        let mut plugins = vec![json!({
            "type": "bridge", "bridge": format!("br-{name}"), "isGateway": true, "ipMasq": true, "hairpinMode": true,
            "ipam": self.host_local(subnet),
        })];
        plugins.extend_from_slice(more);
        let list = json!({ "cniVersion": "1.0.0", "name": name, "plugins": plugins });
        self.define(&format!("10-{name}.conflist"), &list);
    }

    /// Addresses of a subnet, with a default route, and leases in a place of the test's own.
    pub fn host_local(&self, subnet: &str) -> Value {
        json!({
            "type": "host-local", "dataDir": self.data(), "ranges": [[{ "subnet": subnet }]],
            "routes": [{ "dst": "0.0.0.0/0" }],
        })
    }

    fn data(&self) -> PathBuf {
        self.yard.conex.scratch().join("leases")
    }

    /// The addresses that host-local has given out.
    pub fn leases(&self, network: &str) -> Vec<String> {
        let names = fs::read_dir(self.data().join(network)).into_iter().flatten().flatten();
        let mut names: Vec<_> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.retain(|name| name.parse::<std::net::IpAddr>().is_ok());
        names.sort();
        names
    }

    /// The files of who is on a network.
    pub fn attachments(&self, network: &str) -> Vec<String> {
        let directory = self.yard.conex.root().join("cni").join(network);
        let names = fs::read_dir(directory).into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| !name.ends_with(".lock")).collect()
    }

    /// Nobody is on the network any more, and nothing of anybody's is left on the host.
    ///
    /// # Panics
    /// When something is.
    #[track_caller]
    pub fn assert_clear(&self, network: &str) {
        self.assert_clear_but(&[], network);
    }

    /// The same while containers are on the other networks.
    ///
    /// # Panics
    /// When something is.
    #[track_caller]
    pub fn assert_clear_but(&self, others: &[&str], network: &str) {
        assert!(self.leases(network).is_empty(), "{network}: {:?}", self.leases(network));
        assert!(self.attachments(network).is_empty(), "{network}: {:?}", self.attachments(network));
        let rules = self.yard.host.sh("iptables-save");
        assert!(!rules.contains(&format!("name: \\\"{network}\\\"")), "{rules}");
        assert!(!others.is_empty() || !self.holds_namespaces(), "a namespace is held");
    }

    /// Whether a namespace is held for plugins.
    pub fn holds_namespaces(&self) -> bool {
        let place = self.yard.conex.run_root().join("netns").display().to_string();
        self.yard.host.sh("cat /proc/self/mounts").contains(&place)
    }

    /// A plugin that is a script, and records what it is asked.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn plugin(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        // Never open for writing under its name while another thread of the test forks.
        let (path, new) = (self.plugins().join(name), self.plugins().join(format!("{name}.new")));
        fs::write(&new, format!("{RECORD}{script}\n")).expect("a plugin");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("a mode");
        fs::rename(&new, &path).expect("a plugin");
    }

    /// What a script was asked, in order.
    ///
    /// # Panics
    /// When it was asked something that is no JSON.
    pub fn asked(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.plugins().join(format!("{name}.asked"))).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    }

    /// The commands alone.
    pub fn commands(&self, name: &str) -> Vec<String> {
        let asked = self.asked(name);
        asked.iter().map(|one| one["command"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// A [`CniYard`]; ends the test, saying why, where there can be none.
#[macro_export]
macro_rules! cni_yard {
    () => {
        $crate::yard!($crate::CniYard::new())
    };
}
