//! What a program in a container says to its service manager, well or badly, for tests.
//!
//! `notify-sender send TEXT | long | descriptors COUNT | flood COUNT | listen` …, one after the other; then it waits for ever.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketType,
    sendmsg_addr, sendto,
};

fn main() {
    let mut words = std::env::args().skip(1);
    let mut word = || words.next();
    while let Some(what) = word() {
        match what.as_str() {
            "send" => say(word().unwrap_or_default().replace("\\n", "\n").as_bytes()),
            "long" => say(format!("STATUS={}", "x".repeat(100_000)).as_bytes()),
            "descriptors" => descriptors(word().and_then(|count| count.parse().ok()).unwrap_or(1)),
            "flood" => {
                let count: usize = word().and_then(|count| count.parse().ok()).unwrap_or(1);
                (0..count).for_each(|number| say(format!("STATUS={number}").as_bytes()));
            }
            "environment" => println!("{:?}", std::env::var("NOTIFY_SOCKET")),
            "listen" => listen(),
            other => panic!("what is {other}?"),
        }
    }
    println!("done");
    loop {
        std::thread::sleep(std::time::Duration::from_secs(1000));
    }
}

fn socket() -> (OwnedFd, SocketAddrUnix) {
    let path = std::env::var("NOTIFY_SOCKET").expect("NOTIFY_SOCKET");
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::DGRAM, None).expect("a socket");
    (socket, SocketAddrUnix::new(path).expect("an address"))
}

fn say(message: &[u8]) {
    let (socket, address) = socket();
    sendto(&socket, message, SendFlags::empty(), &address).expect("to be heard");
}

/// Messages that bring descriptors along.
fn descriptors(count: usize) {
    let (socket, address) = socket();
    let fds = [socket.as_fd(); 100];
    for _ in 0..count {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(100))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        let text = [IoSlice::new(b"FDSTORE=1\nFDNAME=mine")];
        sendmsg_addr(&socket, &address, &text, &mut control, SendFlags::empty()).expect("to be heard");
    }
}

/// What was passed by sd_listen_fds(3).
fn listen() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let kind =
        std::fs::read_link("/proc/self/fd/3").map(|link| link.display().to_string()).unwrap_or_default();
    let fourth = std::fs::read_link("/proc/self/fd/4").is_ok();
    println!(
        "{} {} {} {} {fourth} {}",
        variable("LISTEN_FDS"),
        variable("LISTEN_PID"),
        variable("LISTEN_FDNAMES"),
        std::process::id(),
        kind.split(':').next().unwrap_or_default()
    );
}
