//! The file of a reference: its name, and what is in it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;

use conex_oci::{Descriptor, Digest, Reference};

use crate::references::{Name, REF_NAME, Root};
use crate::{Error, Result};

/// The descriptor as it stands in `index.json`, with its name as an annotation and no others.
pub(crate) fn entry(root: &Root) -> Descriptor {
    let annotations =
        root.reference().map(|reference| BTreeMap::from([(REF_NAME.to_owned(), reference.to_string())]));
    Descriptor { annotations, ..root.target.clone() }
}

pub(crate) fn parse(path: PathBuf, bytes: &[u8]) -> Result<Root> {
    let damaged = |source| Error::Damaged { path: path.clone(), source };
    let mut target: Descriptor = serde_json::from_slice(bytes).map_err(damaged)?;
    let name = match target.annotation(REF_NAME) {
        Some(text) => Name::Reference(text.parse().map_err(|e| damaged(serde::de::Error::custom(e)))?),
        None => Name::Unnamed,
    };
    target.annotations = None;
    Ok(Root { name, target })
}

/// Letters, digits, `.`, `_` and `-` as they are, everything else as `%XX`. A name too long for a file (255 bytes) is cut
/// and made unique by its hash; the file's content holds it whole.
pub(crate) fn file_name(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len() + 8);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    if escaped.len() > 250 {
        escaped.truncate(180);
        escaped.push('~');
        escaped.push_str(&Digest::of(name.as_bytes()).hex());
    }
    escaped
}

/// What a file of that name holds: the name, and of a nameless root its digest. `None` for a name that was cut, or is none of ours.
pub(crate) fn named_by(file: &OsStr) -> Option<(Name, Option<Digest>)> {
    let (text, mut name, mut rest) = (file.to_str()?, Vec::new(), file.to_str()?.bytes());
    while let Some(byte) = rest.next() {
        name.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    let name = String::from_utf8(name).ok()?;
    if file_name(&name) != text {
        return None;
    }
    if let Ok(digest) = name.parse::<Digest>() {
        return Some((Name::Unnamed, Some(digest)));
    }
    let reference: Reference = name.parse().ok()?;
    (reference.to_string() == name).then_some((Name::Reference(reference), None))
}
