//! A host for tests of networks: a network and mount namespace with a world beyond it, held by a process that ends with the test.

use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::wait::{eventually, installed};
use crate::{Conex, Output, finish};

/// Says when it is ready, and then waits for the end of its standard input.
const HOLDER: &str = r#"
mount --make-rprivate / || exit 1
ip link set lo up && ip link add eth0 type veth peer name wire && ip address add 192.0.2.1/24 dev eth0 &&
ip address add 2001:db8::1/64 dev eth0 nodad && ip link set eth0 up || exit 1
echo ready >"$READY"
exec cat
"#;

const WORLD: &str = r#"
ip link set lo up && echo ready >"$READY"
exec cat
"#;

/// A host at 192.0.2.1 and 2001:db8::1, and the world at 192.0.2.2 and 2001:db8::2.
#[derive(Debug)]
pub struct NetHost {
    host: Child,
    world: Child,
}

impl NetHost {
    /// `None`, with a word why, where there can be none.
    ///
    /// # Panics
    /// When a directory cannot be made.
    pub fn new() -> Option<Self> {
        for tool in ["ip", "nft", "nsenter", "unshare"] {
            if !installed(tool) {
                println!("skipped: {tool} is not installed");
                return None;
            }
        }
        let directory = tempfile::tempdir().expect("a directory");
        let hold = |name: &str, script: &str| {
            let ready = directory.path().join(name);
            let child = Command::new("unshare")
                .args(["--net", "--mount", "sh", "-c", script])
                .env("READY", &ready)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("unshare");
            (child, ready)
        };
        let ((host, host_ready), (world, world_ready)) = (hold("host", HOLDER), hold("world", WORLD));
        let mut this = Self { host, world };
        let is_ready = eventually("a namespace", || {
            let ready = [&host_ready, &world_ready]
                .iter()
                .all(|path| path.metadata().is_ok_and(|data| data.len() > 0));
            let ended = [&mut this.host, &mut this.world]
                .into_iter()
                .any(|child| !matches!(child.try_wait(), Ok(None)));
            (ready || ended).then_some(ready)
        });
        if !is_ready {
            println!("skipped: no network namespace can be made");
            return None;
        }
        this.sh(&format!("ip link set wire netns {}", this.world.id()));
        this.world("ip link set wire name eth0 && ip address add 192.0.2.2/24 dev eth0 &&
            ip address add 2001:db8::2/64 dev eth0 nodad && ip link set eth0 up && ip route add default via 192.0.2.1");
        Some(this)
    }

    fn enter(pid: u32) -> Vec<String> {
        ["nsenter", "-t", &pid.to_string(), "-n", "-m", "--"].map(str::to_owned).to_vec()
    }

    /// An installation on the host, with networks.
    pub fn conex(&self) -> Conex {
        Conex::through(
            [
                Self::enter(self.host.id()),
                vec!["env".to_owned(), "-u".to_owned(), "CONEX_NETWORK".to_owned()],
            ]
            .concat(),
        )
    }

    /// The network namespace of the world.
    pub fn world_namespace(&self) -> std::path::PathBuf {
        format!("/proc/{}/ns/net", self.world.id()).into()
    }

    /// A cable to another host, `lan0` at both ends, with these addresses.
    ///
    /// # Panics
    /// When it cannot be made.
    #[track_caller]
    pub fn join(&self, other: &Self, here: &str, there: &str) {
        self.cable("lan0", other, "lan0");
        for (host, address) in [(self, here), (other, there)] {
            host.sh(&format!("ip address add {address} dev lan0 && ip link set lan0 up"));
        }
    }

    /// A cable to another host, between devices of these names, without addresses.
    ///
    /// # Panics
    /// When it cannot be made.
    #[track_caller]
    pub fn cable(&self, here: &str, other: &Self, there: &str) {
        self.sh(&format!("ip link add {here} type veth peer name {there} netns {}", other.host.id()));
    }

    /// A shell's command on the host.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let output = self.try_sh(script);
        assert_eq!(output.code, 0, "{script}: {}", output.stderr);
        output.stdout
    }

    /// A shell's command on the host, whatever becomes of it.
    pub fn try_sh(&self, script: &str) -> Output {
        Self::run(self.host.id(), script)
    }

    /// A shell's command in the world.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn world(&self, script: &str) -> String {
        let output = self.try_world(script);
        assert_eq!(output.code, 0, "{script}: {}", output.stderr);
        output.stdout
    }

    /// A shell's command in the world, whatever becomes of it.
    pub fn try_world(&self, script: &str) -> Output {
        Self::run(self.world.id(), script)
    }

    /// What the world gets by HTTP, if it gets it.
    pub fn world_gets(&self, url: &str) -> Option<String> {
        let output = self.try_world(&format!("timeout 2 busybox wget -qO- {url}"));
        (output.code == 0).then_some(output.stdout)
    }

    fn run(pid: u32, script: &str) -> Output {
        let prefix = Self::enter(pid);
        finish(Command::new(&prefix[0]).args(&prefix[1..]).args(["sh", "-c", script]).stdin(Stdio::null()))
    }
}

/// The network namespace of a process.
fn network_of(pid: impl std::fmt::Display) -> Option<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/net")).ok()
}

impl Drop for NetHost {
    fn drop(&mut self) {
        // What a test has started there that is nobody's child any more (`httpd` without `-f`) would keep the namespaces. One of us
        // that has not left the machine's own namespace yet has none to clear.
        let own = network_of("self");
        let spaces = [self.host.id(), self.world.id()].map(network_of);
        let is_there = |pid: i32| {
            let space = network_of(pid);
            space.is_some() && own.is_some() && space != own && spaces.contains(&space)
        };
        let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        for pid in pids.filter(|pid| is_there(*pid)) {
            let process = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
            // Asked again, as the number may have become another's.
            if let Some(process) = process.filter(|_| is_there(pid)) {
                let _ = pidfd_send_signal(process, Signal::KILL);
            }
        }
        for child in [&mut self.host, &mut self.world] {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}
