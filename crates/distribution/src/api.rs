//! What every part of the API shares: the state, and errors in the specification's words.

use conex_content::Content;
use conex_http::Response;
use serde_json::json;

use crate::holds::Holds;
use crate::uploads::Sessions;

/// What requests are answered from.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) content: Content,
    pub(crate) holds: Holds,
    pub(crate) sessions: Sessions,
    pub(crate) read_only: bool,
}

/// An error of the specification ("Error Codes"), with the status that belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    RangeInvalid,
    SizeInvalid,
    Unsupported,
    /// Ours: the store.
    Internal,
}

impl Code {
    fn status_and_name(self) -> (u16, &'static str) {
        match self {
            Self::BlobUnknown => (404, "BLOB_UNKNOWN"),
            Self::BlobUploadInvalid => (400, "BLOB_UPLOAD_INVALID"),
            Self::BlobUploadUnknown => (404, "BLOB_UPLOAD_UNKNOWN"),
            Self::DigestInvalid => (400, "DIGEST_INVALID"),
            Self::ManifestBlobUnknown => (400, "MANIFEST_BLOB_UNKNOWN"),
            Self::ManifestInvalid => (400, "MANIFEST_INVALID"),
            Self::ManifestUnknown => (404, "MANIFEST_UNKNOWN"),
            Self::NameInvalid => (400, "NAME_INVALID"),
            Self::NameUnknown => (404, "NAME_UNKNOWN"),
            Self::RangeInvalid => (416, "BLOB_UPLOAD_INVALID"),
            Self::SizeInvalid => (413, "SIZE_INVALID"),
            Self::Unsupported => (405, "UNSUPPORTED"),
            Self::Internal => (500, "UNKNOWN"),
        }
    }
}

/// Why a request is not answered as it wishes.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    message: String,
    /// More headers.
    pub(crate) headers: Vec<(&'static str, String)>,
}

pub(crate) type Answer<T = Response> = Result<T, Refusal>;

impl Refusal {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), headers: Vec::new() }
    }

    pub(crate) fn response(self) -> Response {
        let (status, name) = self.code.status_and_name();
        let mut response = error(status, name, &self.message);
        response.headers.extend(self.headers);
        response
    }
}

/// The store's errors are ours to know: the client learns that there was one.
impl From<conex_content::Error> for Refusal {
    fn from(error: conex_content::Error) -> Self {
        log::error!("{error}");
        Self::new(Code::Internal, "the store cannot answer; its log says why")
    }
}

/// `{"errors":[{"code":…,"message":…}]}`
pub(crate) fn error(status: u16, name: &str, message: &str) -> Response {
    let body = json!({"errors": [{"code": name, "message": message, "detail": null}]});
    Response::new(status).bytes("application/json", body.to_string().into_bytes())
}
