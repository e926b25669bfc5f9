//! systemd's journal, by its native protocol (systemd's JOURNAL_NATIVE_PROTOCOL): one datagram a line, with the fields that
//! Docker's `journald` driver sets.

use std::os::unix::net::UnixDatagram;

use rustix::io::Errno;
use rustix::net::SendFlags;

use super::lines::LONGEST;
use crate::store::Record;
use crate::{Error, LogStream, Result};

/// A connection to the journal.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    /// The fields that are the same for every line, encoded.
    fields: Vec<u8>,
}

impl Journal {
    pub(super) fn open(record: &Record) -> Result<Self> {
        let fail = |_| Error::NoJournal { path: super::JOURNAL.into() };
        let socket = UnixDatagram::unbound().map_err(fail)?;
        socket.connect(super::JOURNAL).map_err(fail)?;
        let mut fields = Vec::new();
        for (name, value) in [
            ("CONTAINER_ID", record.id.short()),
            ("CONTAINER_ID_FULL", record.id.as_str()),
            ("CONTAINER_NAME", record.name.as_str()),
            ("CONTAINER_TAG", record.id.short()),
            ("IMAGE_NAME", &record.image),
            ("SYSLOG_IDENTIFIER", record.id.short()),
        ] {
            field(&mut fields, name, value.as_bytes());
        }
        Ok(Self { socket, fields })
    }

    fn send(&self, message: &[u8]) -> rustix::io::Result<()> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        rustix::net::send(&self.socket, message, flags).map(drop)
    }

    /// Sends one line. A journal that is away or full loses it: the container goes on.
    pub(super) fn line(&mut self, stream: LogStream, line: &[u8]) {
        let mut message = self.fields.clone();
        field(&mut message, "PRIORITY", if stream == LogStream::Stderr { b"3" } else { b"6" });
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if text.len() == line.len() && line.len() == LONGEST {
            field(&mut message, "CONTAINER_PARTIAL_MESSAGE", b"true");
        }
        field(&mut message, "MESSAGE", text);
        match self.send(&message) {
            Ok(()) | Err(Errno::AGAIN) => {}
            // Restarted since: its socket is another one.
            Err(_) if self.socket.connect(super::JOURNAL).is_ok() => drop(self.send(&message)),
            Err(_) => {}
        }
    }
}

/// `NAME=value`, or with a length in front when the value has newlines.
fn field(to: &mut Vec<u8>, name: &str, value: &[u8]) {
    to.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        to.push(b'\n');
        to.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        to.push(b'=');
    }
    to.extend_from_slice(value);
    to.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn newlines_need_a_length() {
        let mut text = Vec::new();
        field(&mut text, "A", b"b=c");
        field(&mut text, "D", b"e\nf");
        assert_eq!(text, b"A=b=c\nD\n\x03\0\0\0\0\0\0\0e\nf\n");
    }
}
