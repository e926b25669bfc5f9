//! A connection to a message bus: one call at a time, and the signals that come in between.
//!
//! Blocking, one thread, no file descriptor left open: the process that clones containers may hold one. Who one is, the other side
//! reads off the socket (EXTERNAL without a name), so that it also works from within a user namespace, where a process does not
//! know its id outside.

use std::collections::VecDeque;
use std::env;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

use super::wire::{Reader, Value};
use crate::error::{Error, Result};

/// How long systemd may take for anything that is asked of it.
const PATIENCE: Duration = Duration::from_secs(30);
/// No answer to what is asked here comes near this.
const MAX_MESSAGE: usize = 1 << 20;

const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";
/// systemd itself, without a bus between; for root, where no bus runs.
const PRIVATE: &str = "unix:path=/run/systemd/private";

/// Message types.
const CALL: u8 = 1;
const RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;
/// Header fields.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// Whose systemd is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The machine's.
    System,
    /// An ordinary user's own (`user@UID.service`).
    User,
}

/// Where a method is.
pub(crate) struct Method<'a> {
    pub(crate) destination: &'a str,
    pub(crate) path: &'a str,
    pub(crate) interface: &'a str,
    pub(crate) member: &'a str,
}

/// What a call came to.
#[derive(Debug)]
pub(crate) enum Answer {
    Values(Vec<Value>),
    Refused {
        /// `org.freedesktop.systemd1.UnitExists`
        name: String,
        message: String,
    },
}

/// A message that came in.
#[derive(Debug, Default)]
struct Message {
    kind: u8,
    member: String,
    error: String,
    answers: u32,
    body: Vec<Value>,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Bus {
    stream: UnixStream,
    address: String,
    serial: u32,
    /// Signals that came while an answer was awaited.
    signals: VecDeque<Message>,
    /// There is a bus in between, which wants a destination and a subscription to signals.
    has_broker: bool,
}

impl Bus {
    /// Connects to the bus of a side.
    ///
    /// # Errors
    /// [`Error::Bus`].
    pub(crate) fn connect(side: Side) -> Result<Self> {
        let Some(address) = address(side) else {
            return Err(Error::Bus {
                address: "the user's session".to_owned(),
                source: io::Error::new(
                    io::ErrorKind::NotFound,
                    "neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR leads to one (is dbus-user-session installed, and is this a login session?)",
                ),
            });
        };
        match Self::connect_to(&address) {
            Err(Error::Bus { .. }) if side == Side::System && rustix::process::geteuid().is_root() => {
                // Told of the bus, which is what people have, when neither is there.
                Self::open(PRIVATE, false).or_else(|_| Self::connect_to(&address))
            }
            result => result,
        }
    }

    /// Connects to a bus by its address (`unix:path=…;…`).
    pub(crate) fn connect_to(address: &str) -> Result<Self> {
        let mut bus = Self::open(address, true)?;
        let broker = Method {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "Hello",
        };
        match bus.call(&broker, &[])? {
            Answer::Values(_) => Ok(bus),
            Answer::Refused { message, .. } => Err(bus.failed(io::Error::other(message))),
        }
    }

    fn open(address: &str, has_broker: bool) -> Result<Self> {
        let failed = |source| Error::Bus { address: address.to_owned(), source };
        let stream = dial(address).map_err(failed)?;
        let mut bus =
            Self { stream, address: address.to_owned(), serial: 0, signals: VecDeque::new(), has_broker };
        bus.authenticate().map_err(failed)?;
        Ok(bus)
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Bus { address: self.address.clone(), source }
    }

    fn authenticate(&mut self) -> io::Result<()> {
        self.stream.set_read_timeout(Some(PATIENCE))?;
        self.stream.set_write_timeout(Some(PATIENCE))?;
        // All at once; the other side answers each line in turn, and says nothing after OK until it is spoken to.
        self.stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        let mut said = Vec::new();
        let mut part = [0; 256];
        loop {
            let count = self.stream.read(&mut part)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            said.extend_from_slice(&part[..count]);
            while let Some(end) = said.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = said.drain(..end + 2).collect();
                match line.split(u8::is_ascii_whitespace).next() {
                    Some(b"OK") if said.is_empty() => return Ok(()),
                    Some(b"DATA") => {}
                    _ => {
                        return Err(io::Error::new(
                            io::ErrorKind::PermissionDenied,
                            "it does not accept this user",
                        ));
                    }
                }
            }
            if said.len() > 1000 {
                return Err(malformed());
            }
        }
    }

    /// Lets the signals of an interface come in.
    pub(crate) fn subscribe(&mut self, interface: &str, member: &str) -> Result<()> {
        if !self.has_broker {
            return Ok(());
        }
        let rule = format!("type='signal',interface='{interface}',member='{member}'");
        let broker = Method {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "AddMatch",
        };
        match self.call(&broker, &[Value::Text(rule)])? {
            Answer::Values(_) => Ok(()),
            Answer::Refused { message, .. } => Err(self.failed(io::Error::other(message))),
        }
    }

    /// Calls a method and waits for its answer.
    ///
    /// # Errors
    /// [`Error::Bus`] when the connection fails; what the method itself says is an [`Answer`].
    pub(crate) fn call(&mut self, method: &Method<'_>, arguments: &[Value]) -> Result<Answer> {
        let serial = self.send(method, arguments).map_err(|source| self.failed(source))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let message = self.receive(deadline).map_err(|source| self.failed(source))?;
            match message.kind {
                RETURN if message.answers == serial => return Ok(Answer::Values(message.body)),
                ERROR if message.answers == serial => {
                    let text = message.body.into_iter().next();
                    let message_text = if let Some(Value::Text(text)) = text { text } else { String::new() };
                    return Ok(Answer::Refused { name: message.error, message: message_text });
                }
                SIGNAL => self.signals.push_back(message),
                _ => {}
            }
        }
    }

    /// The values of the next signal `member`, also of one that has come already.
    pub(crate) fn signal(&mut self, member: &str) -> Result<Vec<Value>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let message = match self.signals.pop_front() {
                Some(message) => message,
                None => self.receive(deadline).map_err(|source| self.failed(source))?,
            };
            if message.kind == SIGNAL && message.member == member {
                return Ok(message.body);
            }
        }
    }

    fn send(&mut self, method: &Method<'_>, arguments: &[Value]) -> io::Result<u32> {
        self.serial += 1;
        let (mut body, mut signature) = (Vec::new(), String::new());
        for argument in arguments {
            argument.write(&mut body);
            signature.push_str(&argument.signature());
        }
        let field = |code, value| Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))]);
        let mut fields = vec![
            field(PATH, Value::Path(method.path.to_owned())),
            field(INTERFACE, Value::text(method.interface)),
            field(MEMBER, Value::text(method.member)),
        ];
        if self.has_broker {
            fields.push(field(DESTINATION, Value::text(method.destination)));
        }
        if !signature.is_empty() {
            fields.push(field(SIGNATURE, Value::Signature(signature)));
        }
        let length = u32::try_from(body.len()).map_err(|_| malformed())?;
        let mut message = vec![b'l', CALL, 0, 1];
        Value::U32(length).write(&mut message);
        Value::U32(self.serial).write(&mut message);
        Value::Array("(yv)".to_owned(), fields).write(&mut message);
        message.resize(message.len().next_multiple_of(8), 0);
        message.extend(body);
        if message.len() > MAX_MESSAGE {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the message is too long"));
        }
        self.stream.write_all(&message)?;
        Ok(self.serial)
    }

    fn receive(&mut self, deadline: Instant) -> io::Result<Message> {
        let late =
            || io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {} s", PATIENCE.as_secs()));
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(late());
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut head = [0; 16];
        self.stream.read_exact(&mut head).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => late(),
            _ => error,
        })?;
        let is_little = head[0] == b'l';
        let number = |at: usize| {
            let bytes = [head[at], head[at + 1], head[at + 2], head[at + 3]];
            (if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }) as usize
        };
        let (body_length, fields_length) = (number(4), number(12));
        if body_length > MAX_MESSAGE || fields_length > MAX_MESSAGE || !matches!(head[0], b'l' | b'B') {
            return Err(malformed());
        }
        let mut bytes = head.to_vec();
        bytes.resize((16 + fields_length).next_multiple_of(8) + body_length, 0);
        self.stream.read_exact(&mut bytes[16..])?;
        parse(&bytes, is_little, body_length).ok_or_else(malformed)
    }
}

fn parse(bytes: &[u8], is_little: bool, body_length: usize) -> Option<Message> {
    let mut message = Message { kind: bytes[1], ..Message::default() };
    let fields = Reader::new(bytes, is_little).read("yyyyuua(yv)")?.pop()?;
    let Value::Array(_, fields) = fields else { return None };
    let mut signature = String::new();
    for field in fields {
        let Value::Struct(pair) = field else { return None };
        let [Value::Byte(code), Value::Variant(value)] = <[Value; 2]>::try_from(pair).ok()? else {
            return None;
        };
        match (code, *value) {
            (MEMBER, Value::Text(text)) => message.member = text,
            (ERROR_NAME, Value::Text(text)) => message.error = text,
            (REPLY_SERIAL, Value::U32(serial)) => message.answers = serial,
            (SIGNATURE, Value::Signature(text)) => signature = text,
            _ => {}
        }
    }
    // A body starts at a multiple of 8: alignment may count from there.
    message.body = Reader::new(&bytes[bytes.len() - body_length..], is_little).read(&signature)?;
    Some(message)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it does not speak D-Bus")
}

fn address(side: Side) -> Option<String> {
    let set = |name| env::var(name).ok().filter(|value: &String| !value.is_empty());
    match side {
        Side::System => Some(set("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or_else(|| SYSTEM_BUS.to_owned())),
        Side::User => set("DBUS_SESSION_BUS_ADDRESS").or_else(|| {
            let path = format!("{}/bus", set("XDG_RUNTIME_DIR")?);
            std::path::Path::new(&path).exists().then(|| format!("unix:path={}", escape(&path)))
        }),
    }
}

/// The first of an address's sockets that takes a connection.
fn dial(address: &str) -> io::Result<UnixStream> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "only unix: addresses are understood");
    for one in address.split(';') {
        let Some(options) = one.strip_prefix("unix:") else { continue };
        for (key, value) in options.split(',').filter_map(|option| option.split_once('=')) {
            let connected = match key {
                "path" => UnixStream::connect(unescape(value)),
                "abstract" => SocketAddr::from_abstract_name(unescape(value))
                    .and_then(|name| UnixStream::connect_addr(&name)),
                _ => continue,
            };
            match connected {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
    }
    Err(last)
}

fn escape(path: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_/.\\*".contains(byte);
    path.bytes()
        .map(|byte| if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") })
        .collect()
}

/// `%20` and the like.
fn unescape(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code =
            after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(unescape(&escape("/run/user/0/a b,c=d;é")), "/run/user/0/a b,c=d;é");
        assert_eq!(unescape("a%zz%2"), "a%zz%2");
        for bad in [
            "",
            "tcp:host=localhost",
            "unix:tmpdir=/tmp",
            "unix:path=/nonexistent/socket;unix:path=/nonexistent/2",
        ] {
            assert!(dial(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_signal_is_understood_in_both_byte_orders() {
        // JobRemoved as another machine might write it: big-endian, by hand.
        let mut bytes = b"B\x04\0\x01\0\0\0\x04\0\0\0\x07\0\0\0\x1f".to_vec();
        bytes.extend(b"\x03\x01s\0\0\0\0\x0aJobRemoved\0\0\0\0\0\0\x08\x01g\0\x01u\0");
        assert_eq!(bytes.len(), 16 + 0x1f);
        bytes.extend(b"\0\0\0\0\x2a");
        let message = parse(&bytes, false, 4).expect("parses");
        assert_eq!((message.kind, message.member.as_str()), (SIGNAL, "JobRemoved"));
        assert_eq!(message.body, [Value::U32(42)]);
    }
}
