//! Blobs: streams of exactly as many bytes as their descriptor says, taken up again where a connection broke.

use std::io::{self, Read};

use conex_oci::{Descriptor, Reference};
use ureq::BodyReader;
use ureq::http::{Method, Response, header};

use crate::request::{Ask, Target, unreachable_error};
use crate::{Client, Error, Result};

/// Bytes after which a connection counts as one that works: the tries start anew.
const PROGRESS: u64 = 1 << 20;

/// A blob on its way. Its bytes are not verified here: write them to where the digest is checked.
///
/// Read it to its end (`Ok(0)`): only then is it known that the registry had no more to say than the descriptor allows.
pub struct Blob<'a> {
    client: &'a Client,
    reference: Reference,
    what: String,
    descriptor: Descriptor,
    body: Option<BodyReader<'static>>,
    /// Bytes given out.
    position: u64,
    /// Where the present connection began.
    began: u64,
    /// Connections that broke since the last one that worked.
    broken: u32,
}

impl Client {
    /// Starts to fetch a blob of the repository that `reference` is in.
    pub fn fetch(&self, reference: &Reference, descriptor: &Descriptor) -> Result<Blob<'_>> {
        let mut blob = Blob {
            client: self,
            reference: reference.clone(),
            what: format!("blob {}", descriptor.digest),
            descriptor: descriptor.clone(),
            body: None,
            position: 0,
            began: 0,
            broken: 0,
        };
        blob.connect()?;
        Ok(blob)
    }
}

impl Blob<'_> {
    /// The next bytes; 0 at the end.
    pub fn next(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let left = self.descriptor.size - self.position;
        if left == 0 {
            return self.end();
        }
        if buffer.is_empty() {
            return Ok(0);
        }
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        loop {
            let Some(body) = &mut self.body else {
                self.connect()?;
                continue;
            };
            match body.read(&mut buffer[..room]) {
                Ok(0) => self.break_off(io::ErrorKind::UnexpectedEof.into())?,
                Ok(count) => {
                    self.position += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.break_off(error)?,
            }
        }
    }

    /// The end: nothing more may come.
    fn end(&mut self) -> Result<usize> {
        let Some(mut body) = self.body.take() else { return Ok(0) };
        match body.read(&mut [0; 1]) {
            Ok(1..) => Err(self.wrong_size("more".to_owned())),
            // All bytes are here; how the connection ends no longer matters.
            Ok(0) | Err(_) => Ok(0),
        }
    }

    /// The connection broke: an error once that has happened too often.
    fn break_off(&mut self, error: io::Error) -> Result<()> {
        self.body = None;
        let worked = self.position - self.began >= PROGRESS;
        self.broken = if worked { 1 } else { self.broken + 1 };
        log::debug!("{}: broke off after {} bytes: {error}", self.what, self.position);
        if self.broken < self.client.options.attempts {
            std::thread::sleep(self.client.options.backoff * self.broken);
            return Ok(());
        }
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Err(self.wrong_size(self.position.to_string()));
        }
        let registry = self.reference.registry().to_owned();
        Err(unreachable_error(registry, ureq::Error::from(error)))
    }

    fn connect(&mut self) -> Result<()> {
        let selector = self.descriptor.digest.to_string();
        let path = format!("blobs/{selector}");
        let range = [(header::RANGE, format!("bytes={}-", self.position))];
        let headers = if self.position > 0 { &range[..] } else { &[] };
        let ask = Ask { headers, whole: None, ..Ask::new(&self.what, Method::GET, Target::Within(&path)) };
        let answer = self.client.ask(&self.reference, &ask)?.response;
        let start = if answer.status().as_u16() == 206 { range_start(&answer) } else { Some(0) };
        let length = answer.headers().get(header::CONTENT_LENGTH);
        let length: Option<u64> = length.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let start = start.filter(|start| *start <= self.position);
        let Some(start) = start else { return Err(self.wrong_size("another part of it".to_owned())) };
        if let Some(length) = length
            && start.checked_add(length) != Some(self.descriptor.size)
        {
            return Err(self.wrong_size(start.saturating_add(length).to_string()));
        }
        let mut body = answer.into_body().into_reader();
        // A server that knows no ranges starts over: what we have is read past.
        let skip = self.position - start;
        let skipped = io::copy(&mut (&mut body).take(skip), &mut io::sink());
        self.began = self.position;
        self.body = Some(body);
        match skipped {
            Ok(count) if count == skip => Ok(()),
            Ok(_) => self.break_off(io::ErrorKind::UnexpectedEof.into()),
            Err(error) => self.break_off(error),
        }
    }

    fn wrong_size(&self, got: String) -> Error {
        Error::Size {
            registry: self.reference.registry().to_owned(),
            what: self.what.clone(),
            expected: self.descriptor.size,
            got,
        }
    }
}

/// The first byte of `Content-Range: bytes 5-9/10`.
fn range_start<T>(answer: &Response<T>) -> Option<u64> {
    let value = answer.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    value.trim().strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

/// As [`Blob::next`]; the error of this crate is inside the [`io::Error`].
impl Read for Blob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.next(buffer).map_err(io::Error::other)
    }
}

impl std::fmt::Debug for Blob<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blob({} at {})", self.descriptor.digest, self.position)
    }
}
