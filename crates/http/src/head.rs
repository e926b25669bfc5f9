//! The head of a request: read within a time, bounded in size, parsed by httparse, and told apart where its body ends.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::Fault;

/// The most that a head has, in bytes.
const LIMIT: usize = 16 << 10;
/// The most headers.
const HEADERS: usize = 64;
/// How long a connection may be idle between requests.
const IDLE: Duration = Duration::from_secs(15);
/// How long a head may take once it has begun.
const WHOLE: Duration = Duration::from_secs(15);

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After so many bytes; none for most requests.
    Length(u64),
    /// After the last chunk.
    Chunked,
}

/// A request without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// As sent: `GET`.
    pub method: String,
    /// Decoded, without the query.
    pub path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    pub(crate) framing: Framing,
    /// Whether the client goes on with this connection.
    pub(crate) keeps: bool,
    /// Whether it waits to be told to send the body.
    pub(crate) expects: bool,
}

impl Head {
    /// A header's value; the first of several.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// A field of the query, decoded.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Reads a head; nothing when the client has closed the connection, or let it lie, before a new one began.
pub(crate) fn read(reader: &mut BufReader<&TcpStream>) -> Result<Option<Head>, Fault> {
    let mut bytes = Vec::new();
    reader.get_ref().set_read_timeout(Some(IDLE))?;
    let mut deadline = None;
    loop {
        let available = match reader.fill_buf() {
            Ok(available) => available,
            Err(_) if bytes.is_empty() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if available.is_empty() {
            return if bytes.is_empty() {
                Ok(None)
            } else {
                Err(Fault::Refused(400, "the head is not whole"))
            };
        }
        // A greeting of TLS, say: its sender waits for an answer, and has to have one at once to try plain HTTP.
        if bytes.is_empty() && !available[0].is_ascii_uppercase() {
            return Err(Fault::Refused(400, "that is no HTTP/1.1"));
        }
        let deadline = *deadline.get_or_insert_with(|| Instant::now() + WHOLE);
        // Up to the empty line and no further: what follows is the body's.
        let before = bytes.len();
        bytes.extend_from_slice(available);
        let from = before.saturating_sub(3);
        let end = bytes[from..].windows(4).position(|window| window == b"\r\n\r\n").map(|at| from + at + 4);
        let used = end.unwrap_or(bytes.len()) - before;
        reader.consume(used);
        if let Some(end) = end {
            bytes.truncate(end);
            return parse(&bytes).map(Some);
        }
        if bytes.len() > LIMIT {
            return Err(Fault::Refused(431, "the head is too large"));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Fault::Refused(408, "the head takes too long"));
        }
        reader.get_ref().set_read_timeout(Some(left))?;
    }
}

/// Parses a whole head.
fn parse(bytes: &[u8]) -> Result<Head, Fault> {
    let malformed = |why| Fault::Refused(400, why);
    if bytes.len() > LIMIT {
        return Err(Fault::Refused(431, "the head is too large"));
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(malformed("the head is not whole")),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Fault::Refused(431, "there are too many headers"));
        }
        Err(_) => return Err(malformed("the head is malformed")),
    }
    let headers: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|header| {
            Some((header.name.to_owned(), String::from_utf8(header.value.to_vec()).ok()?.trim().to_owned()))
        })
        .collect::<Option<_>>()
        .ok_or(malformed("a header is not text"))?;
    let all = |name: &str| {
        let name = name.to_owned();
        headers
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(&name))
            .map(|(_, value)| value.as_str())
    };
    let lists = |name: &str, word: &str| {
        all(name).flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    let lengths: Vec<&str> = all("content-length").collect();
    let encodings: Vec<&str> = all("transfer-encoding").collect();
    let framing = match (lengths.as_slice(), encodings.as_slice()) {
        ([], []) => Framing::Length(0),
        ([length], []) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            Framing::Length(length.parse().map_err(|_| Fault::Refused(413, "the body is too large"))?)
        }
        ([], [encoding]) if encoding.eq_ignore_ascii_case("chunked") => Framing::Chunked,
        // Two lengths, or a length and chunks: two readers would see two requests (RFC 9112 section 6.3).
        _ => return Err(malformed("the body's length is ambiguous")),
    };
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = decode(path).filter(|path| path.starts_with('/')).ok_or(malformed("the path is malformed"))?;
    let pair = |text: &str| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        Some((decode(key)?, decode(value)?))
    };
    let query = query.split('&').filter(|text| !text.is_empty()).map(pair).collect::<Option<_>>();
    let http_1_1 = request.version == Some(1);
    let keeps = if http_1_1 { !lists("connection", "close") } else { lists("connection", "keep-alive") };
    let expects = http_1_1 && lists("expect", "100-continue");
    Ok(Head {
        method: request.method.unwrap_or_default().to_owned(),
        path,
        query: query.ok_or(malformed("the query is malformed"))?,
        framing,
        keeps,
        expects,
        headers,
    })
}

/// Percent-decoding; nothing for what is no text.
fn decode(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.bytes());
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let text =
            std::str::from_utf8(&digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(text, 16).ok()?);
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &str) -> Result<Head, u16> {
        let text = lines.replace('\n', "\r\n") + "\r\n";
        parse(text.as_bytes()).map_err(|fault| match fault {
            Fault::Refused(status, _) => status,
            Fault::Gone(error) => panic!("{error}"),
        })
    }

    #[test]
    fn an_honest_head() {
        let head =
            head("PUT /v2/a/blobs/uploads/1?digest=sha256%3Aab&x HTTP/1.1\nHost: h\nContent-Length: 7\n")
                .unwrap();
        assert_eq!((head.method.as_str(), head.path.as_str()), ("PUT", "/v2/a/blobs/uploads/1"));
        assert_eq!(
            (head.query("digest"), head.query("x"), head.query("y")),
            (Some("sha256:ab"), Some(""), None)
        );
        assert_eq!((head.framing, head.keeps, head.expects), (Framing::Length(7), true, false));
        assert_eq!(head.header("HOST"), Some("h"));
    }

    #[test]
    fn where_a_body_ends_is_never_ambiguous() {
        let post = |headers: &str| head(&format!("POST / HTTP/1.1\n{headers}"));
        assert_eq!(post("Transfer-Encoding: Chunked\n").unwrap().framing, Framing::Chunked);
        for bad in [
            "Content-Length: 1\nContent-Length: 2\n",
            "Content-Length: 1\nContent-Length: 1\n",
            "Content-Length: 1\nTransfer-Encoding: chunked\n",
            "Transfer-Encoding: gzip, chunked\n",
            "Transfer-Encoding: identity\n",
            "Content-Length: +1\n",
            "Content-Length: 1, 1\n",
            "Content-Length:\n",
            "Content-Length : 1\n",
        ] {
            assert_eq!(post(bad), Err(400), "{bad}");
        }
        assert_eq!(post("Content-Length: 99999999999999999999\n"), Err(413));
    }

    #[test]
    fn other_heads() {
        assert_eq!(head("GET /%2e%2e%00 HTTP/1.1\n"), Err(400));
        assert_eq!(head("GET http://h/ HTTP/1.1\n"), Err(400));
        assert_eq!(head("GET /%zz HTTP/1.1\n"), Err(400));
        assert_eq!(head(&format!("GET / HTTP/1.1\n{}", "A: b\n".repeat(65))), Err(431));
        assert!(!head("GET / HTTP/1.0\n").unwrap().keeps);
        assert!(!head("GET / HTTP/1.1\nConnection: Close\n").unwrap().keeps);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
