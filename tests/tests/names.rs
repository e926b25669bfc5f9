//! Names of containers: who is found by whom, how soon, and what stays so when name servers are slow, dead, or killed.

#![allow(missing_docs)]

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use conex_tests::{Manner, NameServer, Resolver, Yard, eventually, question, yard};
use simple_dns::{RCODE, TYPE};

/// A yard whose host asks no name servers.
macro_rules! named_yard {
    () => {{
        let yard = yard!();
        yard.name_servers(&[]);
        yard
    }};
}

/// What tests of names do in a yard.
trait Names {
    fn idle(&self, name: &str, flags: &[&str]) -> Resolver;
    fn resolver(&self, name: &str) -> Resolver;
    fn ip(&self, name: &str, network: &str) -> IpAddr;
    fn name_servers(&self, servers: &[&str]);
    fn world(&self, last: u8, manner: Manner) -> NameServer;
    fn server(&self) -> Option<u32>;
    fn servers(&self) -> Vec<u32>;
}

impl Names for Yard {
    #[track_caller]
    fn idle(&self, name: &str, flags: &[&str]) -> Resolver {
        self.start(name, flags, "exec sleep 600");
        self.resolver(name)
    }

    #[track_caller]
    fn resolver(&self, name: &str) -> Resolver {
        Resolver::of(self.conex.inspect(name)["State"]["Pid"].as_u64().expect("a pid"))
    }

    #[track_caller]
    fn ip(&self, name: &str, network: &str) -> IpAddr {
        self.address_on(name, network, "IPAddress").parse().expect("an address")
    }

    /// What the host's resolv.conf says: the same file, with other bytes, from the second call on.
    fn name_servers(&self, servers: &[&str]) {
        let path = self.conex.scratch().join("resolv.conf");
        let is_new = !path.exists();
        let text: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
        std::fs::write(&path, text).expect("a file");
        if is_new {
            self.host.sh(&format!("mount --bind {} /etc/resolv.conf", path.display()));
        }
    }

    fn world(&self, last: u8, manner: Manner) -> NameServer {
        if last != 2 {
            self.host.world(&format!("ip address add 192.0.2.{last}/24 dev eth0"));
        }
        NameServer::start(&self.host.world_namespace(), Ipv4Addr::new(192, 0, 2, last), manner)
    }

    /// The process that serves; `None` for none.
    fn server(&self) -> Option<u32> {
        let all = self.servers();
        assert!(all.len() < 2, "{all:?}");
        all.first().copied()
    }

    fn servers(&self) -> Vec<u32> {
        let of = |entry: std::fs::DirEntry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let comm = std::fs::read_to_string(entry.path().join("comm")).ok()?;
            let environ = std::fs::read(entry.path().join("environ")).ok()?;
            let ours = format!("CONEX_RUN_ROOT={}", self.conex.run_root().display());
            let is_ours = environ.split(|byte| *byte == 0).any(|variable| variable == ours.as_bytes());
            (comm.trim() == "conex-dns" && is_ours).then_some(pid)
        };
        std::fs::read_dir("/proc").expect("/proc").flatten().filter_map(of).collect()
    }
}

const PROMPT: Duration = Duration::from_millis(50);

#[test]
fn who_is_found_by_whom() {
    let yard = named_yard!();
    let conex = &yard.conex;
    for network in ["db", "web"] {
        conex.ok(&["network", "create", network]);
    }
    conex.ok(&["network", "create", "--ipv6", "six"]);
    let store = yard.idle("Store", &["--network", "db:alias=Keep", "--hostname", "keeper.local"]);
    let front = yard.idle("front", &["--network", "web", "--network", "db"]);
    let far = yard.idle("far", &["--network", "web"]);
    let six = yard.idle("six_1", &["--network", "six"]);
    let id = conex.ok(&["inspect", "-f", "{{.Id}}", "Store"]);

    let address = yard.ip("Store", "db");
    for name in ["Store", "store", "STORE", "keep", "keeper.local", "store.db", "KEEP.db", &id[..12]] {
        assert_eq!(front.addresses(name), [address], "{name}");
        assert_eq!(store.addresses(name), [address], "{name}, of itself");
        assert_eq!(far.ask(name, TYPE::A).code, RCODE::ServerFailure, "{name}, from another network");
    }
    assert_eq!(front.ask_over_tcp("store", TYPE::A).addresses, [address]);
    // One of two networks: each sees the address that it reaches; who is on both that of his first.
    assert_eq!(store.addresses("front"), [yard.ip("front", "db")]);
    assert_eq!(far.addresses("front"), [yard.ip("front", "web")]);
    assert_eq!(front.addresses("front"), [yard.ip("front", "web")]);
    assert_eq!(front.addresses("front.db"), [yard.ip("front", "db")]);
    // A name without IPv6 has no such address; one with has both.
    let none = front.ask("store", TYPE::AAAA);
    assert_eq!((none.code, none.addresses), (RCODE::NoError, vec![]));
    assert_eq!(six.addresses("six_1"), [yard.ip("six_1", "six")]);
    assert!(matches!(six.ask("six_1", TYPE::AAAA).addresses[..], [IpAddr::V6(_)]));
    // The host.
    for name in ["host.docker.internal", "host.conex.internal"] {
        let gateway = conex.inspect("far")["NetworkSettings"]["Networks"]["web"]["Gateway"].clone();
        assert_eq!(far.addresses(name), [gateway.as_str().unwrap().parse::<IpAddr>().unwrap()]);
        assert_eq!(six.ask(name, TYPE::AAAA).addresses.len(), 1);
    }
    // As programs see it.
    let looked = conex.ok(&["exec", "front", "nslookup", &address.to_string()]);
    assert!(looked.contains("name = Store.db"), "{looked}");
    conex.ok(&["exec", "front", "ping", "-c1", "-W2", "keep"]);
    assert_eq!(
        conex.ok(&["exec", "front", "cat", "/etc/resolv.conf"]),
        "nameserver 127.0.0.11\noptions ndots:0\n"
    );
    let names = conex.inspect("Store")["NetworkSettings"]["Networks"]["db"]["DNSNames"].clone();
    assert_eq!(names, serde_json::json!(["Store", "Keep", &id[..12], "keeper.local"]));
    // Several of one name take turns.
    for name in ["w1", "w2", "w3"] {
        yard.idle(name, &["--network", "web", "--network-alias", "worker"]);
    }
    let firsts: std::collections::BTreeSet<_> = (0..3).map(|_| far.addresses("worker")[0]).collect();
    assert_eq!(firsts.len(), 3);
    // Who shares a container's namespace asks as it does.
    let shared = ["run", "--rm", "--network", "container:front", yard.image, "nslookup", "store"];
    assert!(conex.ok(&shared).contains(&address.to_string()));
}

#[test]
fn the_default_bridge_is_as_it_was() {
    let yard = named_yard!();
    let conex = &yard.conex;
    yard.name_servers(&["192.0.2.2"]);
    conex.ok(&["run", "-d", "--name", "plain", yard.image, "sleep", "600"]);
    let resolv = || conex.ok(&["exec", "plain", "cat", "/etc/resolv.conf"]);
    assert_eq!(resolv(), "nameserver 192.0.2.2\n");
    assert_eq!(
        conex.inspect("plain")["NetworkSettings"]["Networks"]["bridge"]["DNSNames"],
        serde_json::Value::Null
    );
    assert!(yard.server().is_none() && !conex.run_root().join("dns").exists());
    // Until it is connected to another.
    conex.ok(&["network", "create", "db"]);
    conex.ok(&["network", "connect", "db", "plain"]);
    let other = yard.idle("other", &["--network", "bridge", "--network", "db"]);
    assert_eq!(resolv(), "nameserver 127.0.0.11\noptions ndots:0\n");
    let plain = yard.resolver("plain");
    assert_eq!(plain.addresses("other"), [yard.ip("other", "db")]);
    assert_eq!(other.addresses("plain"), [yard.ip("plain", "db")]);
    conex.ok(&["network", "disconnect", "db", "plain"]);
    assert_eq!(resolv(), "nameserver 192.0.2.2\n");
    assert!(other.addresses("plain").is_empty());
}

#[test]
fn changes_are_followed_at_once() {
    let yard = named_yard!();
    let conex = &yard.conex;
    for network in ["one", "two"] {
        conex.ok(&["network", "create", network]);
    }
    let eye = yard.idle("eye", &["--network", "one"]);
    // By the time that the command has ended everybody knows.
    let mut took = Vec::new();
    let mut knows = |name: &str, expected: bool| {
        let asked = Instant::now();
        assert_eq!(!eye.addresses(name).is_empty(), expected, "{name}");
        took.push(asked.elapsed());
    };
    yard.idle("web", &["--network", "two"]);
    knows("web", false);
    conex.ok(&["network", "connect", "--alias", "site", "one", "web"]);
    knows("web", true);
    knows("site", true);
    conex.ok(&["rename", "web", "shop"]);
    knows("shop", true);
    knows("web", false);
    conex.ok(&["network", "disconnect", "one", "shop"]);
    knows("shop", false);
    conex.ok(&["network", "connect", "one", "shop"]);
    knows("shop", true);
    conex.ok(&["stop", "-t", "0", "shop"]);
    knows("shop", false);
    conex.ok(&["start", "shop"]);
    knows("shop", true);
    conex.ok(&["restart", "-t", "0", "shop"]);
    knows("shop", true);
    took.sort();
    assert!(took[took.len() / 2] < PROMPT, "{took:?}");
    // Who is killed with its supervisor is unknown a moment later.
    let killed = Instant::now();
    yard.kill_supervisor("shop");
    eventually("the name to go", || eye.addresses("shop").is_empty().then_some(()));
    println!("a killed supervisor's names are gone after {:?}", killed.elapsed());
}

#[test]
fn a_rename_during_a_start_is_not_missed() {
    let yard = named_yard!();
    let conex = &yard.conex;
    conex.ok(&["network", "create", "db"]);
    let eye = yard.idle("eye", &["--network", "db"]);
    conex.ok(&["create", "--name", "n0", "--network", "db", yard.image, "sleep", "600"]);
    // At another moment of the start in each round, as far as it goes.
    let begun = Instant::now();
    conex.ok(&["start", "n0"]);
    let whole = begun.elapsed();
    let id = conex.ok(&["inspect", "-f", "{{.Id}}", "n0"]).trim().to_owned();
    for round in 0..16 {
        let (old, new) = (format!("n{round}"), format!("n{}", round + 1));
        conex.ok(&["stop", "-t", "0", &old]);
        std::thread::scope(|scope| {
            let starting = scope.spawn(|| conex.run(&["start", &id]));
            std::thread::sleep(whole * round / 12);
            conex.ok(&["rename", &old, &new]);
            let started = starting.join().expect("a thread");
            assert_eq!(started.code, 0, "{}", started.stderr);
        });
        assert_eq!(eye.addresses(&new), [yard.ip(&new, "db")], "round {round}");
        assert!(eye.addresses(&old).is_empty(), "round {round}");
    }
}

#[test]
fn a_container_may_be_a_name_server_itself() {
    let yard = named_yard!();
    let conex = &yard.conex;
    conex.ok(&["network", "create", "db"]);
    let eye = yard.idle("eye", &["--network", "db"]);
    let script =
        "echo 'printer.lan 10.1.2.3' >/etc/dnsd.conf; nc -lk -p 53 -e echo tcp & exec dnsd -c /etc/dnsd.conf";
    conex.ok(&["run", "-d", "--name", "pi", "--network", "db", yard.image, "sh", "-c", script]);
    let own = yard.resolver("pi");
    let address = yard.ip("pi", "db").to_string();
    // At all its addresses, to others and to itself, over UDP and over TCP.
    for (who, server) in [("eye", address.as_str()), ("pi", &address), ("pi", "127.0.0.1")] {
        eventually("the container's own server", || {
            let said = conex.run(&["exec", who, "nslookup", "-type=a", "printer.lan", server]);
            said.stdout.contains("10.1.2.3").then_some(())
        });
        let said = conex.run(&["exec", who, "sh", "-c", &format!("nc -w2 {server} 53 </dev/null")]);
        assert_eq!(said.stdout, "tcp\n", "{who} {server}: {}", said.stderr);
    }
    // And names are asked as before, over both, by a program that looks at who answers.
    assert_eq!(own.addresses("eye"), [yard.ip("eye", "db")]);
    assert_eq!(own.ask_over_tcp("eye", TYPE::A).addresses.len(), 1);
    assert_eq!(eye.addresses("pi").len(), 1);
    assert!(conex.ok(&["exec", "pi", "nslookup", "-type=a", "eye"]).contains("127.0.0.11:53"));
    // Connected anew it is as before.
    conex.ok(&["network", "disconnect", "db", "pi"]);
    conex.ok(&["network", "connect", "db", "pi"]);
    assert_eq!(own.addresses("eye").len(), 1);
}

#[test]
fn other_names_are_asked_of_the_host_s_servers() {
    let yard = named_yard!();
    let conex = &yard.conex;
    conex.ok(&["network", "create", "db"]);
    conex.ok(&["network", "create", "--internal", "inner"]);
    let prompt = yard.world(2, Manner::Prompt);
    let other = yard.world(4, Manner::Guessed);
    let web = yard.idle("web", &["--network", "db"]);
    let known: [IpAddr; 1] = [[203, 0, 113, 9].into()];
    assert_eq!(web.ask("www.example", TYPE::A).code, RCODE::ServerFailure, "nobody to ask");
    yard.name_servers(&["192.0.2.2"]);
    assert_eq!(web.addresses("www.example"), known);
    assert_eq!(web.ask("www.example", TYPE::AAAA).code, RCODE::NoError);
    assert_eq!(web.ask("nowhere", TYPE::A).code, RCODE::NameError);
    assert!(conex.ok(&["exec", "web", "nslookup", "www.example"]).contains("203.0.113.9"));
    // What does not fit is asked for over TCP, by who asks and by us.
    let cut = web.ask("big.example", TYPE::A);
    assert!(cut.is_cut && cut.addresses.is_empty(), "{cut:?}");
    assert_eq!(web.ask_over_tcp("big.example", TYPE::A).addresses.len(), 200);
    // Names of containers are nobody else's business.
    let before = prompt.asked();
    web.addresses("web");
    web.ask("web", TYPE::MX);
    assert_eq!(prompt.asked(), before);
    // The file has changed; who guesses is not believed.
    yard.name_servers(&["192.0.2.4"]);
    assert_eq!(web.addresses("www.example"), known);
    assert!(other.asked() > 0);
    // Servers of one's own; nothing outside is reached, and nothing outside is asked.
    let own = yard.idle(
        "own",
        &["--network", "db", "--dns", "192.0.2.2", "--dns-search", "a.example", "--dns-option", "timeout:3"],
    );
    let before = prompt.asked();
    assert_eq!(own.addresses("own.example"), known);
    assert_eq!(prompt.asked(), before + 1);
    assert_eq!(
        conex.ok(&["exec", "own", "cat", "/etc/resolv.conf"]),
        "nameserver 127.0.0.11\nsearch a.example\noptions timeout:3 ndots:0\n"
    );
    let inner = yard.idle("inner", &["--network", "inner"]);
    let asked = (prompt.asked(), other.asked());
    assert_eq!(inner.ask("www.example", TYPE::A).code, RCODE::NameError);
    // Which is the last word for musl's resolver, too.
    let begun = Instant::now();
    assert!(conex.fails(1, &["exec", "inner", "ping", "-c1", "www.example"]).contains("bad address"));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(inner.addresses("inner").len(), 1);
    assert_eq!((prompt.asked(), other.asked()), asked);
}

#[test]
fn a_dead_and_a_slow_server_delay_nobody() {
    let yard = named_yard!();
    yard.conex.ok(&["network", "create", "db"]);
    let web = yard.idle("web", &["--network", "db"]);
    let silent = yard.world(3, Manner::Silent);
    let slow = yard.world(4, Manner::Slow(Duration::from_secs(3)));
    let _prompt = yard.world(2, Manner::Prompt);
    // The first is asked, then the next; from then on the next first.
    yard.name_servers(&["192.0.2.3", "192.0.2.2"]);
    let asked = Instant::now();
    assert_eq!(web.addresses("www.example").len(), 1);
    assert!(asked.elapsed() >= Duration::from_millis(900), "the first was waited for: {:?}", asked.elapsed());
    let before = silent.asked();
    assert_eq!(web.addresses("other.example").len(), 1);
    assert_eq!(silent.asked(), before, "not asked again so soon");
    // A slow one alone: its answer comes, and is waited for.
    yard.name_servers(&["192.0.2.4"]);
    assert_eq!(web.addresses("slow.example").len(), 1);
    assert!(slow.asked() > 0);
    // While as many questions as may be are under way nowhere, names of containers are answered.
    yard.name_servers(&["192.0.2.3"]);
    let noise = yard.resolver("web");
    for number in 0..400 {
        noise.socket.send(&question(number, &format!("n{number}.example"), TYPE::A)).expect("sent");
    }
    let mut worst = Duration::ZERO;
    for _ in 0..200 {
        let asked = Instant::now();
        assert_eq!(web.addresses("web").len(), 1);
        worst = worst.max(asked.elapsed());
    }
    assert!(silent.asked() > before && worst < Duration::from_millis(500), "{worst:?}");
    // Each has its word in the end: that there is nobody.
    let mut buffer = [0; 512];
    for number in 0..400 {
        let count = noise.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{number}: {error}"));
        assert_eq!(buffer[3] & 15, 2, "{:?}", &buffer[..count]);
    }
}

#[test]
fn a_killed_server_is_replaced_and_the_last_container_ends_it() {
    let yard = named_yard!();
    yard.conex.ok(&["network", "create", "db"]);
    let one = yard.idle("one", &["--network", "db"]);
    let two = yard.idle("two", &["--network", "db"]);
    assert_eq!((one.addresses("two").len(), two.addresses("one").len()), (1, 1));
    for _ in 0..3 {
        let server = yard.server().expect("a server");
        yard.host.sh(&format!("kill -9 {server}"));
        // What is asked meanwhile waits; the other container is known again as soon as its supervisor has seen it.
        let asked = Instant::now();
        assert_eq!(one.addresses("one").len(), 1);
        eventually("the other", || {
            (one.addresses("two").len() == 1 && two.addresses("one").len() == 1).then_some(())
        });
        println!("mended after {:?}", asked.elapsed());
        assert_ne!(yard.server().expect("another"), server);
    }
    assert_eq!(yard.conex.ok(&["rename", "two", "zwei"]), "");
    assert_eq!(one.addresses("zwei").len(), 1);
    yard.conex.ok(&["rm", "-f", "one"]);
    assert!(yard.server().is_some());
    yard.conex.ok(&["rm", "-f", "zwei"]);
    eventually("the server to go", || yard.server().is_none().then_some(()));
    assert!(!yard.conex.run_root().join("dns/sock").exists());
    // And there is another for the next.
    let next = yard.idle("next", &["--network", "db"]);
    assert_eq!(next.addresses("next").len(), 1);
}

#[test]
fn of_ten_thousand_questions_none_is_lost() {
    /// So many are on their way at once: UDP loses what its buffers do not hold.
    const WINDOW: usize = 64;
    let yard = named_yard!();
    yard.conex.ok(&["network", "create", "db"]);
    let web = yard.idle("web", &["--network", "db"]);
    let address = yard.ip("web", "db");
    let socket = web.socket.try_clone().expect("a copy");
    let (answer, answered) = std::sync::mpsc::sync_channel(WINDOW);
    let receiver = std::thread::spawn(move || {
        let mut buffer = [0; 512];
        (0..10_000)
            .take_while(|_| socket.recv(&mut buffer).is_ok_and(|_| buffer[3] & 15 == 0 && buffer[7] == 1))
            .inspect(|_| answer.send(()).unwrap_or_default())
            .count()
    });
    let begun = Instant::now();
    for number in 0..10_000u16 {
        if usize::from(number) >= WINDOW {
            answered.recv().expect("an answer");
        }
        web.socket.send(&question(number, "web", TYPE::A)).expect("sent");
    }
    drop(answered);
    assert_eq!(receiver.join().expect("a thread"), 10_000);
    println!("10,000 questions were answered in {:?}", begun.elapsed());
    assert_eq!(web.addresses("web"), [address]);
}

#[test]
fn a_hostile_container_disturbs_only_itself() {
    use std::io::Write;
    let yard = named_yard!();
    yard.conex.ok(&["network", "create", "db"]);
    let (evil, web) = (yard.idle("evil", &["--network", "db"]), yard.idle("web", &["--network", "db"]));
    let server = yard.server().expect("a server");
    let mut noise = question(1, "web", TYPE::A);
    for round in 0..3000usize {
        let at = round % noise.len();
        noise[at] = noise[at].wrapping_mul(31).wrapping_add(round as u8);
        let _ = evil.socket.send(&noise[..(round * 7) % noise.len()]);
        let _ = evil.socket.send(&vec![round as u8; (round * 13) % 9000]);
    }
    // Connections that say nothing, half a question, too much.
    let mut streams: Vec<_> = (0..60).filter_map(|_| evil.connect().ok()).collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        let _ = stream.write_all(&vec![number as u8; number * 500]);
    }
    assert_eq!(web.addresses("web").len(), 1);
    assert_eq!(web.ask_over_tcp("evil", TYPE::A).addresses.len(), 1);
    assert_eq!(yard.server(), Some(server), "the same process");
    let status = std::fs::read_to_string(format!("/proc/{server}/smaps_rollup")).expect("smaps_rollup");
    let of = |field: &str| {
        let line = status.lines().find(|line| line.starts_with(field)).expect("a field");
        line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).expect("kB")
    };
    println!("private memory: {} kB", of("Private_Dirty:"));
    assert!(of("Private_Dirty:") < 1536, "{status}");
    drop(streams);
    assert_eq!(evil.ask_over_tcp("web", TYPE::A).addresses.len(), 1, "and it is served again");
}

#[test]
fn many_at_once_have_one_server_that_keeps_nothing_of_them() {
    let yard = named_yard!();
    yard.conex.ok(&["network", "create", "many"]);
    let start = &|number: usize| {
        let name = format!("c{number}");
        yard.conex.run(&["run", "-d", "--name", &name, "--network", "many", yard.image, "sleep", "600"])
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..24).map(|number| scope.spawn(move || start(number))).collect();
        for thread in threads {
            let output = thread.join().expect("a thread");
            assert_eq!(output.code, 0, "{}", output.stderr);
        }
    });
    let server = yard.server().expect("one server");
    let open = || std::fs::read_dir(format!("/proc/{server}/fd")).expect("its descriptors").count();
    let eye = yard.resolver("c0");
    for number in 0..24 {
        let name = format!("c{number}");
        assert_eq!(eye.addresses(&name), [yard.ip(&name, "many")]);
    }
    let full = open();
    let names: Vec<String> = (1..24).map(|number| format!("c{number}")).collect();
    yard.conex.ok(&[&["rm", "-f"][..], &names.iter().map(String::as_str).collect::<Vec<_>>()].concat());
    // A connection and two sockets each.
    eventually("what belonged to them to be closed", || (open() == full - 3 * 23).then_some(()));
    assert_eq!(yard.server(), Some(server));
    // Those who are killed all lose the same server, and find one other.
    yard.idle("again", &["--network", "many"]);
    yard.host.sh(&format!("kill -9 {server}"));
    eventually("both to be known again", || (eye.addresses("again").len() == 1).then_some(()));
    assert!(yard.server().is_some_and(|other| other != server));
}

#[test]
fn without_a_run_directory_there_is_no_server_either() {
    let yard = named_yard!();
    yard.conex.ok(&["network", "create", "db"]);
    yard.idle("web", &["--network", "db"]);
    assert!(yard.server().is_some());
    // Somebody removes RUN, or what is in it, while it is in use: nobody can come any more.
    std::fs::remove_dir_all(yard.conex.run_root().join("dns")).expect("removed");
    yard.conex.ok(&["rm", "-f", "web"]);
    eventually("the server to go", || yard.server().is_none().then_some(()));
}
