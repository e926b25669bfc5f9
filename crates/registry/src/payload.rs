//! What is sent with a question. A question may be asked several times (a redirect, a token, a busy registry), so a
//! payload can be read again from its beginning.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use ureq::SendBody;
use ureq::http::{self, Method, header, request};

/// What is sent.
#[derive(Clone, Copy)]
pub(crate) enum Payload<'a> {
    /// Nothing.
    None,
    /// Bytes at hand, of a media type.
    Bytes(&'a [u8], &'a str),
    /// A part of a file.
    Part {
        file: &'a File,
        /// Where it begins, in bytes.
        offset: u64,
        /// Bytes.
        length: u64,
        /// Told how many bytes have gone out.
        tell: &'a dyn Fn(u64),
    },
}

impl Payload<'_> {
    /// Finishes the request and gives it to `transport`.
    pub(crate) fn send<T>(
        &self,
        request: request::Builder,
        transport: impl FnOnce(http::Request<SendBody<'_>>) -> T,
    ) -> Result<T, http::Error> {
        match *self {
            Self::None => match request.method_ref() {
                Some(&Method::GET | &Method::HEAD | &Method::DELETE) => {
                    request.body(SendBody::none()).map(transport)
                }
                // A POST or PUT of nothing says so: some servers want a length.
                _ => {
                    let mut nothing = io::empty();
                    let request = request.header(header::CONTENT_LENGTH, 0);
                    request.body(SendBody::from_reader(&mut nothing)).map(transport)
                }
            },
            Self::Bytes(mut bytes, kind) => {
                let request =
                    request.header(header::CONTENT_LENGTH, bytes.len()).header(header::CONTENT_TYPE, kind);
                request.body(SendBody::from_reader(&mut bytes)).map(transport)
            }
            Self::Part { file, offset, length, tell } => {
                let mut part = Part { file, offset, left: length, length, tell };
                let request = request
                    .header(header::CONTENT_LENGTH, length)
                    .header(header::CONTENT_TYPE, "application/octet-stream");
                request.body(SendBody::from_reader(&mut part)).map(transport)
            }
        }
    }
}

struct Part<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
    length: u64,
    tell: &'a dyn Fn(u64),
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..room], self.offset)?;
        if count == 0 && room > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter"));
        }
        self.offset += count as u64;
        self.left -= count as u64;
        (self.tell)(self.length - self.left);
        Ok(count)
    }
}
