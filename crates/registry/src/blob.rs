//! Blobs: streams of exactly as many bytes as their descriptor says, or of a range of them, taken up again where a
//! connection broke. A peer that only drips counts as one whose connection broke.

use std::io::{self, Read};
use std::ops::Range;
use std::time::Instant;

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
    /// Bytes given out, from the blob's beginning.
    position: u64,
    /// Where the range that is wanted ends.
    end: u64,
    /// Where the present connection began.
    began: u64,
    /// Connections that broke since the last one that worked.
    broken: u32,
    /// When the present window of time began, and where.
    window: (Instant, u64),
}

impl Client {
    /// Starts to fetch a blob of the repository that `reference` is in.
    pub fn fetch(&self, reference: &Reference, descriptor: &Descriptor) -> Result<Blob<'_>> {
        self.fetch_range(reference, descriptor, 0..descriptor.size)
    }

    /// Starts to fetch a range of it, in bytes. A range that ends before the blob does needs a registry that knows ranges,
    /// and fails with [`Error::Ranges`] at another; one that only begins later is had from any.
    pub fn fetch_range(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        range: Range<u64>,
    ) -> Result<Blob<'_>> {
        let end = range.end.min(descriptor.size);
        let mut blob = Blob {
            client: self,
            reference: reference.clone(),
            what: format!("blob {}", descriptor.digest),
            descriptor: descriptor.clone(),
            body: None,
            position: range.start.min(end),
            end,
            began: range.start,
            broken: 0,
            window: (Instant::now(), range.start),
        };
        // Of an empty blob too it is asked whether it is there; of an empty rest there is nothing to ask.
        if blob.position < end || descriptor.size == 0 {
            blob.connect()?;
        }
        Ok(blob)
    }
}

impl Blob<'_> {
    /// The next bytes; 0 at the end.
    pub fn next(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let left = self.end - self.position;
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
                    if self.drips() {
                        self.break_off(io::Error::new(io::ErrorKind::TimedOut, "it only drips"))?;
                    }
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.break_off(error)?,
            }
        }
    }

    /// Whether fewer bytes came in a window of time than any network that works would bring.
    fn drips(&mut self) -> bool {
        let (began, position) = self.window;
        let passed = began.elapsed();
        if passed < self.client.options.patience {
            return false;
        }
        self.window = (Instant::now(), self.position);
        let rate = (self.position - position) as f64 / passed.as_secs_f64();
        rate < self.client.options.slowest as f64 && self.position < self.end
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
        let error = match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                let text = format!(
                    "the connection broke after {} of {} bytes of {}",
                    self.position, self.descriptor.size, self.what
                );
                io::Error::new(io::ErrorKind::UnexpectedEof, text)
            }
            _ => error,
        };
        let registry = self.reference.registry().to_owned();
        Err(unreachable_error(registry, ureq::Error::from(error)))
    }

    fn connect(&mut self) -> Result<()> {
        let selector = self.descriptor.digest.to_string();
        let path = format!("blobs/{selector}");
        let part = self.end < self.descriptor.size;
        let range = if part {
            format!("bytes={}-{}", self.position, self.end - 1)
        } else {
            format!("bytes={}-", self.position)
        };
        let range = [(header::RANGE, range)];
        let headers = if self.position > 0 || part { &range[..] } else { &[] };
        let ask = Ask { headers, bounded: false, ..Ask::new(&self.what, Method::GET, Target::Within(&path)) };
        let answer = self.client.ask(&self.reference, &ask)?.response;
        let partial = answer.status().as_u16() == 206;
        let start = if partial { range_start(&answer) } else { Some(0) };
        let length = answer.headers().get(header::CONTENT_LENGTH);
        let length: Option<u64> = length.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        if part && (!partial || start != Some(self.position)) {
            return Err(Error::Ranges { registry: self.reference.registry().to_owned() });
        }
        let start = start.filter(|start| *start <= self.position);
        let Some(start) = start else { return Err(self.wrong_size("another part of it".to_owned())) };
        if let Some(length) = length
            && start.checked_add(length) != Some(self.end)
        {
            return Err(self.wrong_size(start.saturating_add(length).to_string()));
        }
        let mut body = answer.into_body().into_reader();
        // A server that knows no ranges starts over: what we have is read past.
        let skip = self.position - start;
        let skipped = io::copy(&mut (&mut body).take(skip), &mut io::sink());
        self.began = self.position;
        self.window = (Instant::now(), self.position);
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
    first_of(answer.headers().get(header::CONTENT_RANGE)?.to_str().ok()?)
}

pub(crate) fn first_of(range: &str) -> Option<u64> {
    range.trim().strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
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
