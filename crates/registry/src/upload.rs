//! Blobs on their way to a registry: mounted from another repository, sent as a whole, or in chunks that go on where a
//! broken connection left them (distribution-spec 1.1, "Pushing blobs").

use std::cell::Cell;
use std::fs::File;

use conex_oci::{Descriptor, Digest, Reference};
use ureq::http::{Method, Uri, header};

use crate::answer::{Answer, drain};
use crate::payload::Payload;
use crate::redirect::{next, shown_text};
use crate::request::{Ask, Target};
use crate::scope::Access;
use crate::token::encode;
use crate::{Client, Error, Result};

/// How a blob came to be in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// It was there.
    Exists,
    /// The registry took it from another of its repositories.
    Mounted {
        /// Which.
        from: String,
    },
    /// It was sent.
    Pushed,
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The blob's bytes, from the beginning of the file.
    pub file: &'a File,
    /// Repositories of the same registry that may have it.
    pub mount_from: &'a [String],
}

/// An upload that the registry has opened.
struct Upload<'a> {
    client: &'a Client,
    reference: &'a Reference,
    what: String,
    digest: Digest,
    size: u64,
    file: &'a File,
    /// Where the registry wants the next bytes.
    location: Uri,
    /// Bytes that it has.
    offset: u64,
    chunk: u64,
    tell: &'a dyn Fn(u64),
}

impl Client {
    /// Brings a blob into the repository of `reference` unless it is there. `tell` hears how many bytes have gone out.
    pub fn push_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        source: Source<'_>,
        tell: &dyn Fn(u64),
    ) -> Result<Delivery> {
        let digest = &descriptor.digest;
        if self.has_blob(reference, digest)? {
            return Ok(Delivery::Exists);
        }
        let mut opened = None;
        for from in source.mount_from.iter().filter(|from| *from != reference.repository()) {
            match self.mount(reference, digest, from) {
                Ok(None) => return Ok(Delivery::Mounted { from: from.clone() }),
                // Not there: the registry has opened an upload instead.
                Ok(Some(answer)) => {
                    opened = Some(answer);
                    break;
                }
                // Perhaps that repository is not ours to read.
                Err(error) => log::debug!("cannot mount {digest} from {from}: {error}"),
            }
        }
        let answer = match opened {
            Some(answer) => answer,
            None => self.open_upload(reference, digest)?,
        };
        let what = format!("blob {digest}");
        let location = location(&answer, reference, &what)?;
        let chunk = chunk_size(&answer, self.options.chunk);
        drain(answer.response);
        let (size, file) = (descriptor.size, source.file);
        let digest = *digest;
        let upload =
            Upload { client: self, reference, what, digest, size, file, location, offset: 0, chunk, tell };
        upload.run()?;
        Ok(Delivery::Pushed)
    }

    /// Asks for a blob of another repository; nothing when that was done, an opened upload when not.
    fn mount(&self, reference: &Reference, digest: &Digest, from: &str) -> Result<Option<Answer>> {
        let what = format!("blob {digest}");
        let path = format!("blobs/uploads/?mount={}&from={}", encode(&digest.to_string()), encode(from));
        let ask = Ask {
            access: Access::Push,
            from: Some(from),
            ..Ask::new(&what, Method::POST, Target::Within(&path))
        };
        let answer = self.ask(reference, &ask)?;
        if answer.status() == 201 {
            drain(answer.response);
            return Ok(None);
        }
        Ok(Some(answer))
    }

    fn open_upload(&self, reference: &Reference, digest: &Digest) -> Result<Answer> {
        let what = format!("blob {digest}");
        let ask =
            Ask { access: Access::Push, ..Ask::new(&what, Method::POST, Target::Within("blobs/uploads/")) };
        self.ask(reference, &ask)
    }
}

impl Upload<'_> {
    fn run(mut self) -> Result<()> {
        let mut wait = self.client.options.backoff;
        let mut failed = 0;
        loop {
            let before = self.offset;
            let error = match self.step() {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    (failed, wait) = (0, self.client.options.backoff);
                    continue;
                }
                Err(error) => error,
            };
            // A registry that wants no chunks is sent the whole at once.
            if self.offset == 0 && self.chunk < self.size && refuses_chunks(&error) {
                log::debug!("{}: {error}; trying without chunks", self.what);
                self.chunk = u64::MAX;
                self.reopen()?;
                continue;
            }
            failed += 1;
            if !may_go_on(&error) || failed >= self.client.options.attempts {
                return Err(error);
            }
            log::debug!("{}: {error}; waiting {wait:?}", self.what);
            std::thread::sleep(wait);
            wait *= 2;
            self.find_place()?;
            if self.offset > before {
                failed = 0;
            }
        }
    }

    /// Sends the next chunk; true when that was the last one.
    fn step(&mut self) -> Result<bool> {
        let left = self.size - self.offset;
        let length = left.min(self.chunk);
        let last = length == left;
        let (from, told) = (self.offset, Cell::new(0));
        let tell = |sent: u64| {
            // Seldom enough not to be felt.
            if sent - told.get() >= 256 << 10 || sent == length {
                told.set(sent);
                (self.tell)(from + sent);
            }
        };
        let uri =
            if last { with_digest(&self.location, &self.digest, &self.what)? } else { self.location.clone() };
        let range = [(header::CONTENT_RANGE, format!("{from}-{}", (from + length).saturating_sub(1)))];
        let ask = Ask {
            access: Access::Push,
            body: Payload::Part { file: self.file, offset: from, length, tell: &tell },
            headers: if last && from == 0 { &[] } else { &range },
            bounded: false,
            again: false,
            ..Ask::new(&self.what, if last { Method::PUT } else { Method::PATCH }, Target::At(&uri))
        };
        let answer = self.client.ask(self.reference, &ask)?;
        if last {
            drain(answer.response);
            return Ok(true);
        }
        // It may have taken less than was sent.
        self.offset = end_of_range(&answer).filter(|end| *end <= from + length).unwrap_or(from + length);
        if self.offset <= from {
            return Err(self.stuck());
        }
        self.location = location(&answer, self.reference, &self.what)?;
        drain(answer.response);
        Ok(false)
    }

    /// Asks how much the registry has of the upload; opens a new one when it has forgotten it.
    fn find_place(&mut self) -> Result<()> {
        let uri = self.location.clone();
        let ask = Ask { access: Access::Push, ..Ask::new(&self.what, Method::GET, Target::At(&uri)) };
        match self.client.ask(self.reference, &ask) {
            Ok(answer) => {
                self.offset = end_of_range(&answer).unwrap_or(0).min(self.size);
                if answer.header(header::LOCATION).is_some() {
                    self.location = location(&answer, self.reference, &self.what)?;
                }
                drain(answer.response);
                log::debug!("{}: goes on at {}", self.what, self.offset);
                Ok(())
            }
            Err(Error::Unreachable { .. } | Error::Certificate { .. }) => Ok(()),
            Err(error) => {
                log::debug!("{}: {error}; begun anew", self.what);
                self.reopen()
            }
        }
    }

    fn reopen(&mut self) -> Result<()> {
        let answer = self.client.open_upload(self.reference, &self.digest)?;
        self.location = location(&answer, self.reference, &self.what)?;
        self.offset = 0;
        drain(answer.response);
        Ok(())
    }

    fn stuck(&self) -> Error {
        Error::Malformed {
            registry: self.reference.registry().to_owned(),
            what: self.what.clone(),
            reason: "it takes chunks of the upload and keeps none of them".to_owned(),
        }
    }
}

/// Where an upload goes on.
fn location(answer: &Answer, reference: &Reference, what: &str) -> Result<Uri> {
    let text = answer.header(header::LOCATION).unwrap_or_default();
    next(&answer.uri, text).map_err(|reason| Error::Redirect {
        registry: reference.registry().to_owned(),
        what: what.to_owned(),
        location: shown_text(text),
        reason,
    })
}

pub(crate) fn with_digest(location: &Uri, digest: &Digest, what: &str) -> Result<Uri> {
    let joint = if location.query().is_some() { '&' } else { '?' };
    let url = format!("{location}{joint}digest={}", encode(&digest.to_string()));
    url.parse().map_err(|source: ureq::http::uri::InvalidUri| Error::Address {
        url: what.to_owned(),
        source: source.into(),
    })
}

/// Bytes that the registry has, by `Range: 0-1023`. `0-0` is what many say of an empty upload.
fn end_of_range(answer: &Answer) -> Option<u64> {
    kept(answer.header(header::RANGE)?)
}

pub(crate) fn kept(range: &str) -> Option<u64> {
    let text = range.trim();
    let (first, last) = text.strip_prefix("bytes=").unwrap_or(text).split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    if first != 0 {
        return None;
    }
    Some(if last == 0 { 0 } else { last.checked_add(1)? })
}

/// Our chunks, or larger ones if the registry wants them (`OCI-Chunk-Min-Length`).
fn chunk_size(answer: &Answer, ours: u64) -> u64 {
    let least = answer.header("oci-chunk-min-length").and_then(|text| text.trim().parse().ok());
    least.map_or(ours, |least: u64| least.max(ours))
}

/// Whether what failed can go on after asking where: a broken connection, a busy registry, another idea of the range.
fn may_go_on(error: &Error) -> bool {
    matches!(
        error,
        Error::Unreachable { .. }
            | Error::NotFound { .. }
            | Error::Status { status: 408 | 416 | 429 | 500 | 502 | 503 | 504, .. }
    )
}

fn refuses_chunks(error: &Error) -> bool {
    matches!(error, Error::Status { status: 400 | 405 | 411 | 413 | 415 | 501, .. } | Error::NotFound { .. })
}
