//! A host of the test's own: a network namespace with a world outside, and containers that are namespaces with a server in them.
#![allow(dead_code, reason = "each test program uses a part")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use conex_netlink::{Kind, NewLink, Peer, Place, Route};
use conex_network::{
    Endpoint, Firewall, Network, NetworkName, Networks, NewNetwork, PortSpec, Reserved, Wire, reserve,
};

/// The test's thread is on it.
pub(crate) struct Host {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) networks: Networks,
    pub(crate) firewall: Firewall,
    pub(crate) route: Route,
    pub(crate) endpoints: Vec<(Network, Endpoint)>,
    held: Vec<Reserved>,
    /// 192.0.2.2 and 2001:db8::2, beyond 192.0.2.1 and 2001:db8::1.
    pub(crate) world: Other,
}

impl Host {
    /// `None`, having said so, where there can be none.
    pub(crate) fn new() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let directories: Vec<_> = std::env::split_paths(&path).collect();
        for tool in ["ip", "nft"] {
            if !directories.iter().any(|directory| directory.join(tool).exists()) {
                println!("skipped: {tool} is not installed");
                return None;
            }
        }
        // /sys of the namespace, too.
        if let Err(error) =
            conex_sys::namespace::unshare(conex_sys::namespace::NETWORK | conex_sys::namespace::MOUNT)
        {
            println!("skipped: no network namespace: {error}");
            return None;
        }
        sh("mount --make-rprivate / && ip link set lo up && ip link add eth0 type veth peer name wire &&
            ip address add 192.0.2.1/24 dev eth0 && ip address add 2001:db8::1/64 dev eth0 nodad && ip link set eth0 up");
        let world = Other::new();
        world.adopt("wire");
        world.sh("ip link set lo up && ip link set wire name eth0 && ip address add 192.0.2.2/24 dev eth0 &&
            ip address add 2001:db8::2/64 dev eth0 nodad && ip link set eth0 up");
        let directory = tempfile::tempdir().unwrap();
        let networks = Networks::open(&directory.path().join("root"), &directory.path().join("run"));
        Some(Self {
            directory,
            networks,
            firewall: Firewall::open().unwrap(),
            route: Route::open().unwrap(),
            endpoints: Vec::new(),
            held: Vec::new(),
            world,
        })
    }

    pub(crate) fn network(&self, name: &str, asked: &NewNetwork) -> Network {
        let name: NetworkName = name.parse().unwrap();
        self.networks.create(&name, asked, &[]).unwrap()
    }

    /// A container on a network, with a server at port 80 that says its name.
    pub(crate) fn container(&mut self, name: &str, network: &Network, ports: &[&str]) -> Container {
        let id = format!("{:0>64}", format!("{:x}", self.endpoints.len() + 16));
        let id = id.chars().rev().collect::<String>();
        let addresses = self.networks.lease(network, &id, &[]).unwrap();
        let specs: Vec<PortSpec> = ports.iter().map(|text| text.parse().unwrap()).collect();
        let reserved = reserve(&specs, None, network.has_v6()).unwrap();
        let prefix = |address: &IpAddr| {
            network.subnets.iter().find(|subnet| subnet.subnet.contains(address)).unwrap().subnet.prefix_len()
        };
        let endpoint = Endpoint {
            network: network.name.clone(),
            network_id: network.id.clone(),
            device: "eth0".to_owned(),
            host_device: Endpoint::host_device_of(&id, 0),
            mac: network.mac_for(None, addresses[0]).unwrap(),
            addresses: addresses.iter().map(|address| (*address, prefix(address))).collect(),
            gateways: network.gateways(),
            aliases: Vec::new(),
            ports: reserved.ports.clone(),
        };
        self.held.push(reserved);
        let space = Other::new();
        let mut inside = Route::open_in(space.as_fd()).unwrap();
        let wire = Wire { network, endpoint: &endpoint, note: name, is_default: true };
        wire.connect(&mut self.route, &mut inside, space.as_fd()).unwrap();
        if !self.firewall.admit(network, &endpoint).unwrap() {
            let networks = self.networks.list().unwrap();
            let all = self.endpoints.iter().map(|(network, endpoint)| (network, endpoint));
            self.firewall.restore(&networks, all).unwrap();
            assert!(self.firewall.admit(network, &endpoint).unwrap());
        }
        self.endpoints.push((network.clone(), endpoint.clone()));
        let container = Container { space, endpoint, id };
        for address in &container.endpoint.addresses {
            container.space.serve(SocketAddr::new(address.0, 80), name);
        }
        container
    }
}

type Work = Box<dyn FnOnce(&mut Host) + Send>;

/// A host on a thread of its own, so that there are several.
pub(crate) struct Machine {
    work: Sender<Work>,
}

impl Machine {
    /// `None`, having said so, where there can be none.
    pub(crate) fn new() -> Option<Self> {
        let (work, all) = channel::<Work>();
        let (ready, is_ready) = channel();
        std::thread::spawn(move || {
            let host = Host::new();
            ready.send(host.is_some()).unwrap();
            if let Some(mut host) = host {
                all.iter().for_each(|work| work(&mut host));
            }
        });
        is_ready.recv().unwrap().then_some(Self { work })
    }

    /// Does something there.
    #[track_caller]
    pub(crate) fn on<T: Send + 'static>(&self, work: impl FnOnce(&mut Host) -> T + Send + 'static) -> T {
        let (done, result) = channel();
        let work = move |host: &mut Host| drop(done.send(work(host)));
        self.work.send(Box::new(work)).unwrap();
        result.recv().expect("it has not panicked")
    }

    /// A cable from here to there, `lan0` at both ends.
    pub(crate) fn join(&self, other: &Self, here: &'static str, there: &'static str) {
        let space = other.on(|_| File::open("/proc/thread-self/ns/net").unwrap());
        self.on(move |host| {
            let peer = Peer { name: "lan0", mac: None, place: Place::Namespace(space.as_fd()) };
            host.route.create_link(&NewLink::new("lan0", Kind::Veth(peer))).unwrap();
        });
        for (machine, address) in [(self, here), (other, there)] {
            machine.on(move |_| sh(&format!("ip address add {address} dev lan0 && ip link set lan0 up")));
        }
    }
}

/// A container, as far as networks are concerned.
pub(crate) struct Container {
    pub(crate) space: Other,
    pub(crate) endpoint: Endpoint,
    pub(crate) id: String,
}

impl Container {
    pub(crate) fn v4(&self) -> IpAddr {
        self.endpoint.addresses[0].0
    }

    pub(crate) fn v6(&self) -> IpAddr {
        self.endpoint.addresses[1].0
    }
}

/// Another namespace.
pub(crate) struct Other(File);

impl AsFd for Other {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Other {
    pub(crate) fn new() -> Self {
        // The thread ends, the namespace stays open.
        let thread = std::thread::spawn(|| {
            conex_sys::namespace::unshare(conex_sys::namespace::NETWORK).unwrap();
            sh("ip link set lo up");
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        Self(thread.join().unwrap())
    }

    /// Does something in it.
    pub(crate) fn enter<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let space = self.0.try_clone().unwrap();
        let thread = std::thread::spawn(move || {
            conex_sys::namespace::join(space.as_fd(), conex_sys::namespace::NETWORK).unwrap();
            work()
        });
        thread.join().unwrap()
    }

    pub(crate) fn sh(&self, script: &str) -> String {
        let script = script.to_owned();
        self.enter(move || sh(&script))
    }

    /// Takes a device over from the test's namespace.
    fn adopt(&self, device: &str) {
        use conex_netlink::{Change, Place};
        let mut route = Route::open().unwrap();
        let index = route.link(device).unwrap().unwrap().index;
        let change = Change { place: Some(Place::Namespace(self.as_fd())), ..Change::default() };
        route.change_link(index, &change).unwrap();
    }

    /// A server that says `word` and who asks.
    pub(crate) fn serve(&self, address: SocketAddr, word: &str) {
        let listener = self.enter(move || TcpListener::bind(address).unwrap());
        let word = word.to_owned();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let peer = stream.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default();
                let _ = write!(stream, "{word} {peer}");
            }
        });
    }

    /// What the server says, `None` if there is no way to it.
    pub(crate) fn ask(&self, host: IpAddr, port: u16) -> Option<String> {
        self.enter(move || ask(host, port))
    }
}

/// The same from the host.
pub(crate) fn ask(host: IpAddr, port: u16) -> Option<String> {
    let mut stream =
        TcpStream::connect_timeout(&SocketAddr::new(host, port), Duration::from_millis(1500)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

#[track_caller]
pub(crate) fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
