//! Blobs: whole, or a range of them, from the page cache to the socket.

use std::ops::Range;

use conex_http::{Head, Payload, Response};
use conex_oci::Digest;

use crate::api::{Answer, Api, Code, Refusal};

impl Api {
    pub(crate) fn get_blob(&self, digest: &Digest, head: &Head) -> Answer {
        if !self.content.has(digest) {
            return Err(Refusal::new(Code::BlobUnknown, format!("blob {digest} is not here")));
        }
        let (file, size) = (self.content.reader(digest)?, self.content.size(digest)?);
        let response = |status| {
            Response::new(status)
                .with("Content-Type", "application/octet-stream")
                .with("Docker-Content-Digest", digest)
                .with("Accept-Ranges", "bytes")
        };
        let range = head.header("range").filter(|_| head.method == "GET");
        let (mut response, part) = match range.map(|text| wanted(text, size)) {
            None | Some(Wanted::Whole) => (response(200), 0..size),
            Some(Wanted::Part(part)) => {
                let said = format!("bytes {}-{}/{size}", part.start, part.end - 1);
                (response(206).with("Content-Range", said), part)
            }
            Some(Wanted::Nothing) => {
                let refusal = Refusal::new(Code::RangeInvalid, "the range is not within the blob");
                return Ok(refusal.response().with("Content-Range", format!("bytes */{size}")));
            }
        };
        response.payload = Payload::File(file, part.start, part.end - part.start);
        Ok(response)
    }

    /// Removes a blob that nothing needs.
    pub(crate) fn delete_blob(&self, digest: &Digest) -> Answer {
        if !self.content.has(digest) {
            return Err(Refusal::new(Code::BlobUnknown, format!("blob {digest} is not here")));
        }
        let needed =
            || Refusal::new(Code::Unsupported, format!("blob {digest} is needed by an image, or just came"));
        let claim = self.content.claim()?;
        if !claim.try_add(digest)? || self.content.mark()?.blobs.contains(digest) {
            return Err(needed());
        }
        self.content.delete(digest, &claim)?;
        Ok(Response::new(202))
    }
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// All: it asks for several ranges, or for what we do not understand (RFC 9110 section 14.2 lets us).
    Whole,
    Part(Range<u64>),
    Nothing,
}

fn wanted(text: &str, size: u64) -> Wanted {
    let Some((first, last)) = text.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Wanted::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let range = match (number(first), number(last)) {
        // The last so many bytes.
        (None, Some(count)) if first.is_empty() => size.saturating_sub(count)..size,
        (Some(first), None) if last.is_empty() => first..size,
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
        _ => return Wanted::Whole,
    };
    if range.start >= range.end { Wanted::Nothing } else { Wanted::Part(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-", Wanted::Part(2..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-30", Wanted::Part(0..10)),
            ("bytes=5-99", Wanted::Part(5..10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=18446744073709551615-18446744073709551615", Wanted::Nothing),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=4-2", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
        ] {
            assert_eq!(wanted(text, 10), expected, "{text}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Nothing);
    }
}
