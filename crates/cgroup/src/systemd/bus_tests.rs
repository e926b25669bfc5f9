//! The connection against a real dbus-daemon of the test's own, and against one that is not.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};

use super::bus::{Answer, Bus, Method};
use super::wire::Value;
use crate::error::Error;

/// A bus that ends with its test.
struct Daemon {
    child: Child,
    address: String,
}

impl Daemon {
    fn start() -> Option<Self> {
        let mut command = Command::new("dbus-daemon");
        command
            .args(["--session", "--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let Ok(mut child) = command.spawn() else {
            println!("skipped: dbus-daemon is not installed");
            return None;
        };
        let mut address = String::new();
        let output = child.stdout.as_mut().expect("a pipe");
        BufReader::new(output).read_line(&mut address).expect("an address");
        Some(Self { child, address: address.trim().to_owned() })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn broker(member: &str) -> Method<'_> {
    Method {
        destination: "org.freedesktop.DBus",
        path: "/org/freedesktop/DBus",
        interface: "org.freedesktop.DBus",
        member,
    }
}

#[test]
fn calls_errors_and_signals() {
    let Some(daemon) = Daemon::start() else { return };
    let mut bus = Bus::connect_to(&daemon.address).expect("connect");
    let Answer::Values(names) = bus.call(&broker("ListNames"), &[]).expect("call") else { panic!("refused") };
    let [Value::Array(element, names)] = &names[..] else { panic!("{names:?}") };
    assert!(element == "s" && names.contains(&Value::text("org.freedesktop.DBus")), "{names:?}");
    let Answer::Refused { name, message } = bus.call(&broker("NoSuchMethod"), &[]).expect("call") else {
        panic!("there is no such method")
    };
    assert!(name.ends_with(".UnknownMethod") && !message.is_empty(), "{name} {message}");

    bus.subscribe("org.freedesktop.DBus", "NameOwnerChanged").expect("subscribe");
    // The signal comes before the answer to the call that causes it, and is kept until it is asked for.
    let arguments = [Value::text("conex.test.Name"), Value::U32(0)];
    let Answer::Values(values) = bus.call(&broker("RequestName"), &arguments).expect("call") else {
        panic!("refused")
    };
    assert_eq!(values, [Value::U32(1)]);
    let changed = loop {
        let values = bus.signal("NameOwnerChanged").expect("signal");
        if values.first() == Some(&Value::text("conex.test.Name")) {
            break values;
        }
    };
    assert_eq!(changed.len(), 3);
    // Who we are was read off the socket.
    let me = changed[2].clone();
    let Answer::Values(uid) = bus.call(&broker("GetConnectionUnixUser"), &[me]).expect("call") else {
        panic!("refused")
    };
    assert_eq!(uid, [Value::U32(rustix::process::geteuid().as_raw())]);
}

#[test]
fn what_is_no_bus_is_an_error() {
    let directory = std::env::temp_dir().join(format!("conex-bus-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let hello = b"l\x02\x01\x01\0\0\0\0\x01\0\0\0\x08\0\0\0\x05\x01u\0\x01\0\0\0";
    let huge = b"l\x02\x01\x01\xff\xff\xff\xff\x01\0\0\0\xff\xff\xff\xff";
    let answers: [&[u8]; 6] = [
        b"",
        b"REJECTED EXTERNAL\r\n",
        b"HTTP/1.1 200 OK\r\n",
        &[b'x'; 5000],
        b"OK 1234\r\njunkjunkjunkjunkjunkjunk",
        &[&b"OK 1234\r\n"[..], huge].concat(),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let path = directory.join(number.to_string());
        let listener = UnixListener::bind(&path).expect("a socket");
        let served = std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut asked = [0; 64];
                let _count = stream.read(&mut asked).expect("what it asks");
                let _gone = stream.write_all(answer);
            });
            Bus::connect_to(&format!("unix:path={}", path.display())).map(drop)
        });
        let error = served.expect_err("no bus");
        assert!(matches!(error, Error::Bus { .. }) && !error.to_string().contains('\n'), "{error}");
    }
    // For comparison: what the shortest right answer looks like.
    let path = directory.join("right");
    let listener = UnixListener::bind(&path).expect("a socket");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut asked = [0; 64];
            let _count = stream.read(&mut asked).expect("what it asks");
            stream.write_all(b"DATA\r\nOK 12").expect("write");
            stream.write_all(b"34\r\n").expect("write");
            let _count = stream.read(&mut asked).expect("its first call");
            stream.write_all(hello).expect("write");
            // Closing before all is read would take the answer back.
            let _rest = stream.read_to_end(&mut Vec::new());
        });
        Bus::connect_to(&format!("unix:path={}", path.display())).expect("a bus");
    });
    std::fs::remove_dir_all(&directory).expect("remove");
}
