//! Uploads: opened, gone on with, asked about, ended with a digest, or made unnecessary by a mount.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use conex_content::Upload;
use conex_http::{Body, Head, Response};
use conex_oci::Digest;

use crate::api::{Answer, Api, Code, Refusal};
use crate::repository::Repository;
use crate::route::digest;

/// Uploads that are held open; those beyond are found again by their files.
const OPEN: usize = 64;
/// Bytes moved at a time.
const CHUNK: usize = 128 << 10;

/// Uploads whose hash is kept running between requests.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Session>>);

type Session = Arc<Mutex<Option<Upload>>>;

impl Sessions {
    /// Keeps an upload for the next request.
    fn keep(&self, id: &str, upload: Upload) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Any will do: its file stays, and is hashed again at the end.
        if sessions.len() >= OPEN
            && let Some(other) = sessions.keys().next().cloned()
        {
            sessions.remove(&other);
        }
        sessions.insert(id.to_owned(), Arc::new(Mutex::new(Some(upload))));
    }

    /// Takes an upload out: nobody else has it until it is kept again.
    fn take(&self, id: &str) -> Option<Upload> {
        let session = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id)?;
        session.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Api {
    pub(crate) fn open_upload(
        &self,
        repository: &Repository,
        head: &Head,
        body: &mut Body<'_, '_>,
    ) -> Answer {
        if let (Some(text), Some(_)) = (head.query("mount"), head.query("from")) {
            let wanted = digest(text)?;
            if self.content.has(&wanted) {
                return Ok(created(repository, &wanted));
            }
        }
        let (id, mut upload) = self.content.upload()?;
        // The whole at once (distribution-spec, "POST then PUT" in one).
        if let Some(text) = head.query("digest") {
            let wanted = digest(text)?;
            let appended = append(&mut upload, body);
            return match appended {
                Ok(()) => self.commit(repository, upload, &wanted),
                Err(refusal) => {
                    let _ = upload.cancel();
                    Err(refusal)
                }
            };
        }
        let response = progress(202, repository, &id, 0);
        self.sessions.keep(&id, upload);
        Ok(response)
    }

    pub(crate) fn look_at_upload(&self, repository: &Repository, id: &str) -> Answer {
        let upload = self.find_upload(id)?;
        let response = progress(204, repository, id, upload.length());
        self.sessions.keep(id, upload);
        Ok(response)
    }

    pub(crate) fn continue_upload(
        &self,
        repository: &Repository,
        id: &str,
        head: &Head,
        body: &mut Body<'_, '_>,
    ) -> Answer {
        let mut upload = self.find_upload(id)?;
        let appended = in_order(head, repository, id, &upload).and_then(|()| append(&mut upload, body));
        let response = progress(202, repository, id, upload.length());
        // What came before it broke stays: the client asks how much that was.
        self.sessions.keep(id, upload);
        appended.map(|()| response)
    }

    pub(crate) fn end_upload(
        &self,
        repository: &Repository,
        id: &str,
        head: &Head,
        body: &mut Body<'_, '_>,
    ) -> Answer {
        let missing = || Refusal::new(Code::DigestInvalid, "the digest is missing from the query");
        let wanted = digest(head.query("digest").ok_or_else(missing)?)?;
        let mut upload = self.find_upload(id)?;
        let appended = in_order(head, repository, id, &upload).and_then(|()| append(&mut upload, body));
        if let Err(refusal) = appended {
            self.sessions.keep(id, upload);
            return Err(refusal);
        }
        self.commit(repository, upload, &wanted)
    }

    pub(crate) fn cancel_upload(&self, id: &str) -> Answer {
        self.find_upload(id)?.cancel()?;
        Ok(Response::new(204))
    }

    fn find_upload(&self, id: &str) -> Answer<Upload> {
        if let Some(upload) = self.sessions.take(id) {
            return Ok(upload);
        }
        let unknown =
            || Refusal::new(Code::BlobUploadUnknown, "there is no such upload, or somebody is sending it");
        self.content.continue_upload(id)?.ok_or_else(unknown)
    }

    fn commit(&self, repository: &Repository, upload: Upload, wanted: &Digest) -> Answer {
        self.holds.hold(&self.content, wanted)?;
        match upload.commit(wanted) {
            Ok(_) => Ok(created(repository, wanted)),
            Err(conex_content::Error::Mismatch { got, .. }) => {
                Err(Refusal::new(Code::DigestInvalid, format!("what was sent is {got}")))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether the next bytes are those that a chunk's range says.
fn in_order(head: &Head, repository: &Repository, id: &str, upload: &Upload) -> Answer<()> {
    let Some(text) = head.header("content-range") else { return Ok(()) };
    let range = text.strip_prefix("bytes ").unwrap_or(text).split_once('-');
    let first = range.and_then(|(first, _)| first.trim().parse::<u64>().ok());
    if first == Some(upload.length()) {
        return Ok(());
    }
    let mut refusal = Refusal::new(Code::RangeInvalid, "the chunk is not the next one");
    refusal.headers = progress(416, repository, id, upload.length()).headers;
    Err(refusal)
}

fn append(upload: &mut Upload, body: &mut Body<'_, '_>) -> Answer<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match body.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => upload.append(&buffer[..count]).map_err(|error| {
                log::error!("{upload:?}: {error}");
                Refusal::new(Code::Internal, "the upload cannot be written")
            })?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                log::debug!("{upload:?} broke off: {error}");
                return Err(Refusal::new(Code::BlobUploadInvalid, "the body broke off"));
            }
        }
    }
}

fn created(repository: &Repository, digest: &Digest) -> Response {
    Response::new(201)
        .with("Location", format!("/v2/{}/blobs/{digest}", repository.name))
        .with("Docker-Content-Digest", digest)
}

/// How far an upload is. `0-0` is all that the specification has for nothing.
fn progress(status: u16, repository: &Repository, id: &str, length: u64) -> Response {
    Response::new(status)
        .with("Location", format!("/v2/{}/blobs/uploads/{id}", repository.name))
        .with("Docker-Upload-Uuid", id)
        .with("Range", format!("0-{}", length.saturating_sub(1)))
}
