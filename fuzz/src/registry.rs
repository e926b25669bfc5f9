//! What is done with what a registry, its server of tokens or a DNS server says: each reader gets all of it. Addresses lead only
//! where they may, nothing that is shown to one host is shown to another, and words fit into a line.

use conex_oci::Reference;
use conex_oci::image::{ImageIndex, ImageManifest};
use conex_registry::fuzzing as read;

/// Who has sent it: a registry elsewhere, one on this machine.
const HOMES: [&str; 2] =
    ["https://r.example/v2/a/blobs/x", "http://127.0.0.1:5000/v2/a/blobs/uploads/1?_state=x"];

pub(crate) fn registry(bytes: &[u8]) {
    headers(&bytes.iter().map(|&byte| header(byte)).collect::<String>());
    bodies(bytes);
    let text = String::from_utf8_lossy(bytes);
    line(&read::shown(&text));
    if let Some(parts) = read::parts(&text) {
        let stays = |part: &&std::ffi::OsStr| !["", ".", ".."].map(std::ffi::OsStr::new).contains(part);
        assert!(parts.iter().all(stays) && !parts.iter().any(|part| part.to_string_lossy().contains('/')));
    }
    names(bytes, &text);
}

/// What comes out of a header as text is visible ASCII.
fn header(byte: u8) -> char {
    if matches!(byte, b' '..=b'~' | b'\t') { char::from(byte) } else { '?' }
}

fn headers(text: &str) {
    for home in HOMES {
        for location in [text, read::next_link(text).unwrap_or_default()] {
            redirect(home, location);
        }
    }
    for is_plain in [false, true] {
        if let Some(address) = read::token_address(text, is_plain) {
            let (scheme, _, rest) = split(&address);
            assert!(scheme == "https" || is_plain && scheme == "http", "{address}");
            assert!(plain(rest), "{address}");
        }
    }
    let _ = (read::kept(text), read::first_of(text));
}

fn bodies(bytes: &[u8]) {
    read::complaint(bytes).inspect(|words| line(words));
    match read::token(bytes) {
        Ok(header) => assert!(header.strip_prefix("Bearer ").is_some_and(plain), "{header:?}"),
        Err(reason) => line(&reason),
    }
    for tag in read::tags(bytes).unwrap_or_default() {
        let reference: Reference = format!("a:{tag}").parse().expect("a tag");
        assert_eq!(reference.tag(), Some(&*tag));
    }
    kind(bytes);
}

/// A redirect, and an upload that goes on where it leads.
fn redirect(home: &str, location: &str) {
    let (address, is_same) = match read::redirect(home, location) {
        Ok(next) => next,
        Err(reason) => return line(reason),
    };
    let (home_scheme, home_authority, _) = split(home);
    let (scheme, authority, _) = split(&address);
    assert!(scheme == "https" || (scheme, home_scheme) == ("http", "http"), "{home} leads to {address}");
    assert!(plain(&address) && !authority.is_empty() && !authority.contains('@'), "{address}");
    assert_eq!(
        is_same,
        (scheme, authority.to_ascii_lowercase()) == (home_scheme, home_authority.to_ascii_lowercase()),
        "{address}"
    );
    line(&read::shown(&address));
    if let Some(end) = read::upload_end(&address) {
        let (end_scheme, end_authority, rest) = split(&end);
        assert_eq!((end_scheme, end_authority), (scheme, authority), "{address} ends at {end}");
        assert!(rest.contains("digest=sha256%3A"), "{end}");
    }
}

/// Scheme, authority, and the rest (RFC 3986 appendix B), told apart here by other means than there.
fn split(address: &str) -> (&str, &str, &str) {
    let (scheme, rest) = address.split_once("://").expect("a whole address");
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    (scheme, &rest[..end], &rest[end..])
}

/// Bytes that one reader takes for an index and another for a manifest would be an attack (CVE-2021-41190).
fn kind(bytes: &[u8]) {
    let index = "application/vnd.oci.image.index.v1+json";
    for content_type in [None, Some("text/plain"), Some(index)] {
        match read::kind(content_type, bytes) {
            Ok(kind) if kind == index || kind.contains("list") => {
                assert!(serde_json::from_slice::<ImageManifest>(bytes).is_err(), "{kind}");
            }
            Ok(kind) => {
                let index = serde_json::from_slice::<ImageIndex>(bytes);
                assert!(index.is_err() || index.is_ok_and(|index| index.manifests.is_empty()), "{kind}");
            }
            Err(reason) => line(&reason),
        }
    }
}

/// A DNS message as it is, and as the answer to our question; the question for what should be a name.
fn names(bytes: &[u8], text: &str) {
    let question = read::question("r.example").expect("a name");
    let _ = read::addresses(&question, bytes);
    let mut answer = question.clone();
    // A response without an error, with as many records as its first byte says.
    answer[2..4].copy_from_slice(&[0x81, 0x80]);
    answer[7] = bytes.first().copied().unwrap_or_default();
    answer.extend(bytes.iter().skip(1));
    let addresses = read::addresses(&question, &answer).unwrap_or_default();
    // A record has twelve bytes and its address.
    assert!(addresses.len() * 14 <= bytes.len(), "{} addresses in {} bytes", addresses.len(), bytes.len());
    if let Some(question) = read::question(text) {
        assert!(question.len() <= 12 + 255 + 4, "{text:?}");
    }
}

/// Nothing that would break out of a header's line or an address.
fn plain(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || c == ' ')
}

/// One line, not too long.
fn line(text: &str) {
    assert!(text.len() < 1500 && !text.contains(char::is_control), "{text:?}");
}
