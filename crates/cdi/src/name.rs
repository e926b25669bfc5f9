//! Names: a kind is `vendor.com/class`, a device of it `vendor.com/class=name` (SPEC.md, "Kind" and "CDI Devices").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// `vendor.com/class`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    vendor: String,
    class: String,
}

/// `vendor.com/class=name`; in documents a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QualifiedName {
    /// Whose device.
    pub kind: Kind,
    /// Which.
    pub name: String,
}

/// A DNS name is no longer.
const VENDOR_LIMIT: usize = 253;
const NAME_LIMIT: usize = 63;

impl Kind {
    /// Whether the class has a dot, which came with version 0.6.
    pub(crate) fn has_dotted_class(&self) -> bool {
        self.class.contains('.')
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.vendor, self.class)
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind, self.name)
    }
}

impl FromStr for Kind {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        kind(text).map_err(|why| Error::Name { text: clip(text), why })
    }
}

impl FromStr for QualifiedName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why| Error::Name { text: clip(text), why };
        let Some((of, name)) = text.split_once('=') else {
            return Err(wrong("expected vendor.com/class=name".to_owned()));
        };
        let kind = kind(of).map_err(wrong)?;
        check_device(name).map_err(wrong)?;
        Ok(Self { kind, name: name.to_owned() })
    }
}

impl From<QualifiedName> for String {
    fn from(name: QualifiedName) -> Self {
        name.to_string()
    }
}

impl TryFrom<String> for QualifiedName {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

fn kind(text: &str) -> Result<Kind, String> {
    let Some((vendor, class)) = text.split_once('/') else {
        return Err("the kind is a vendor and a class, as vendor.com/class".to_owned());
    };
    check("vendor", vendor, VENDOR_LIMIT, "_-.", u8::is_ascii_alphabetic)?;
    check("class", class, NAME_LIMIT, "_-.", u8::is_ascii_alphabetic)?;
    Ok(Kind { vendor: vendor.to_owned(), class: class.to_owned() })
}

/// The name of a device within its kind. The reference library takes colons too, as MIG devices of NVIDIA's have them.
pub(crate) fn check_device(name: &str) -> Result<(), String> {
    check("device name", name, VENDOR_LIMIT, "_-.:", u8::is_ascii_alphanumeric)
}

fn check(what: &str, text: &str, limit: usize, marks: &str, first: fn(&u8) -> bool) -> Result<(), String> {
    let (Some(head), Some(tail)) = (text.as_bytes().first(), text.as_bytes().last()) else {
        return Err(format!("the {what} is empty"));
    };
    if text.len() > limit {
        return Err(format!("the {what} is longer than {limit} characters"));
    }
    if !first(head) {
        let letter = if first(&b'0') { "a letter or digit" } else { "a letter" };
        return Err(format!("the {what} {text:?} does not begin with {letter}"));
    }
    if !tail.is_ascii_alphanumeric() {
        return Err(format!("the {what} {text:?} does not end with a letter or digit"));
    }
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !marks.contains(*c)) {
        Some(c) => Err(format!("the {what} {text:?} has the character {c:?}")),
        None => Ok(()),
    }
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in [
            "vendor.com/class=name",
            "nvidia.com/gpu=all",
            "nvidia.com/gpu=0",
            "nvidia.com/gpu=0:1",
            "nvidia.com/gpu=GPU-f9a1",
            "v/c=n",
            "foo.bar.baz/foo-bar123.B_az=0.x",
        ] {
            assert_eq!(good.parse::<QualifiedName>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "/dev/null",
            "vendor.com/class",
            "vendor.com/class=",
            "vendor.com=name",
            "/class=name",
            "vendor.com/=name",
            "1vendor.com/class=name",
            "vendor.com/1class=name",
            "vendor.com/class/x=name",
            "vendor.com/class=-name",
            "vendor.com/class=name-",
            "vendor.com/class=na me",
            "vendor.com/class=a=b",
            "vendor.com/class=ä",
            "vendor.com/cla\nss=a",
        ] {
            let error = bad.parse::<QualifiedName>().unwrap_err().to_string();
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,80}") {
            let _ = text.parse::<QualifiedName>();
        }
    }
}
