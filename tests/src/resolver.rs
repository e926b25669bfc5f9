//! Name servers and resolvers of the tests' own, in network namespaces of others.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord, TYPE};

/// How long an answer may take before it counts as none: as resolvers do.
const PATIENCE: Duration = Duration::from_secs(8);
/// Where containers ask.
const OURS: &str = "127.0.0.11:53";

/// Does something in a network namespace (`/proc/PID/ns/net`), in a thread of its own; sockets that it opens stay there.
///
/// # Panics
/// When the namespace cannot be entered.
pub fn inside<T: Send>(namespace: &Path, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let file = std::fs::File::open(namespace).expect("a namespace");
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns");
            work()
        });
        thread.join().expect("the thread in the namespace")
    })
}

/// What a name server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// `NoError`, `NameError`, `ServerFailure`, `Refused`.
    pub code: RCODE,
    /// Addresses, in its order.
    pub addresses: Vec<IpAddr>,
    /// Whether the rest has to be asked for over TCP.
    pub is_cut: bool,
}

impl Said {
    fn read(message: &[u8]) -> Self {
        let packet = Packet::parse(message).expect("a DNS message");
        let address = |record: &ResourceRecord<'_>| match &record.rdata {
            RData::A(a) => Some(IpAddr::V4(a.address.into())),
            RData::AAAA(a) => Some(IpAddr::V6(a.address.into())),
            _ => None,
        };
        let addresses = packet.answers.iter().filter_map(address).collect();
        Self { code: packet.rcode(), addresses, is_cut: packet.has_flags(PacketFlag::TRUNCATION) }
    }
}

/// A query for a name.
pub fn question(number: u16, name: &str, kind: TYPE) -> Vec<u8> {
    let mut packet = Packet::new_query(number);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new_unchecked(name);
    packet.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().expect("a query")
}

/// Asks the name service of a container, from inside.
#[derive(Debug)]
pub struct Resolver {
    /// Connected to the service.
    pub socket: UdpSocket,
    namespace: PathBuf,
}

impl Resolver {
    /// In the namespace of this process.
    ///
    /// # Panics
    /// When it cannot be entered.
    pub fn of(pid: u64) -> Self {
        let namespace = PathBuf::from(format!("/proc/{pid}/ns/net"));
        let socket = inside(&namespace, || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            socket.connect(OURS).expect("a route");
            socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            socket
        });
        Self { socket, namespace }
    }

    /// What is said of the addresses of a name.
    ///
    /// # Panics
    /// When nothing is said.
    #[track_caller]
    pub fn ask(&self, name: &str, kind: TYPE) -> Said {
        self.socket.send(&question(7, name, kind)).expect("sent");
        let mut buffer = [0; 4096];
        let count = self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{name}: {error}"));
        Said::read(&buffer[..count])
    }

    /// The IPv4 addresses of a name; none for an error.
    #[track_caller]
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        self.ask(name, TYPE::A).addresses
    }

    /// The same over TCP.
    ///
    /// # Panics
    /// When nothing is said.
    #[track_caller]
    pub fn ask_over_tcp(&self, name: &str, kind: TYPE) -> Said {
        let mut stream = self.connect().expect("a connection");
        let question = question(9, name, kind);
        let length = u16::try_from(question.len()).expect("short");
        stream.write_all(&[&length.to_be_bytes()[..], &question].concat()).expect("sent");
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("a length");
        let mut message = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut message).expect("a message");
        Said::read(&message)
    }

    /// A connection to the service.
    ///
    /// # Errors
    /// The kernel's.
    pub fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = inside(&self.namespace, || TcpStream::connect(OURS))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }
}

/// How a name server of the world's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It answers at once.
    Prompt,
    /// It answers after a while.
    Slow(Duration),
    /// It never answers.
    Silent,
    /// Somebody else answers first, who guesses: another number, another question.
    Guessed,
}

/// A name server that knows `NAME.example` (at 203.0.113.9), and `big.example`, whose addresses go over TCP only.
#[derive(Debug)]
pub struct NameServer {
    ends: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl NameServer {
    /// At this address and port 53 of a namespace.
    ///
    /// # Panics
    /// When it cannot listen.
    pub fn start(namespace: &Path, address: Ipv4Addr, manner: Manner) -> Self {
        let (udp, tcp) = inside(namespace, || {
            let udp = UdpSocket::bind((address, 53)).expect("port 53");
            (udp, TcpListener::bind((address, 53)).expect("port 53"))
        });
        udp.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        tcp.set_nonblocking(true).expect("a flag");
        let this = Self { ends: Arc::default(), asked: Arc::default() };
        let (ends, asked) = (this.ends.clone(), this.asked.clone());
        std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let mut buffer = [0; 4096];
                match udp.recv_from(&mut buffer) {
                    Ok((count, from)) => {
                        asked.fetch_add(1, Ordering::Relaxed);
                        answer_by_datagram(&udp, &buffer[..count], from, manner);
                    }
                    Err(error) => {
                        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
                    }
                }
                if let Ok((stream, _)) = tcp.accept() {
                    asked.fetch_add(1, Ordering::Relaxed);
                    answer_by_stream(stream);
                }
            }
        });
        this
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

fn answer_by_datagram(socket: &UdpSocket, query: &[u8], from: SocketAddr, manner: Manner) {
    let reply = known(query, false);
    match manner {
        Manner::Silent => {}
        Manner::Prompt => drop(socket.send_to(&reply, from)),
        Manner::Slow(pause) => {
            let socket = socket.try_clone().expect("a copy");
            std::thread::spawn(move || {
                std::thread::sleep(pause);
                socket.send_to(&reply, from)
            });
        }
        Manner::Guessed => {
            let mut other_number = reply.clone();
            other_number[1] ^= 1;
            let mut other_question = reply.clone();
            other_question[13] ^= 1;
            for message in [&other_number, &other_question, &vec![0xff; 40], &Vec::new(), &reply] {
                let _ = socket.send_to(message, from);
            }
        }
    }
}

fn answer_by_stream(mut stream: TcpStream) {
    let mut length = [0; 2];
    stream.set_nonblocking(false).expect("a flag");
    stream.read_exact(&mut length).expect("a length");
    let mut query = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut query).expect("a query");
    let reply = known(&query, true);
    let length = u16::try_from(reply.len()).expect("short");
    let _ = stream.write_all(&[&length.to_be_bytes()[..], &reply].concat());
}

fn known(query: &[u8], over_tcp: bool) -> Vec<u8> {
    let query = Packet::parse(query).expect("a query");
    let question = &query.questions[0];
    let mut reply = Packet::new_reply(query.id());
    reply.questions.push(question.clone());
    let text = question.qname.to_string().to_lowercase();
    let count = match text.as_str() {
        "big.example" => 200,
        known if known.ends_with(".example") => 1,
        _ => 0,
    };
    if count == 0 {
        *reply.rcode_mut() = RCODE::NameError;
    }
    if count > 1 && !over_tcp {
        reply.set_flags(PacketFlag::TRUNCATION);
    } else if question.qtype == QTYPE::TYPE(TYPE::A) {
        for number in 0..count {
            let address = Ipv4Addr::new(203, 0, 113, 9 + number);
            let data = RData::A(A { address: address.into() });
            reply.answers.push(ResourceRecord::new(question.qname.clone(), CLASS::IN, 60, data));
        }
    }
    reply.build_bytes_vec().expect("a reply")
}
