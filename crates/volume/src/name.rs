//! Names of volumes: what Docker allows, so that a name is a directory's name and a word of a command, too.

use std::str::FromStr;

use conex_oci::{Digest, checked_text, is_name};
use serde::{Deserialize, Serialize};

use crate::Error;

/// A valid name: a letter or digit, then letters, digits and `_.-`; 255 bytes at most, as a directory's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VolumeName(String);
checked_text!(VolumeName);

impl VolumeName {
    /// A name for a volume that nobody names: 64 hexadecimal digits, as Docker's.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn random() -> Result<Self, Error> {
        Ok(Self(Digest::from_sha256(crate::store::random()?).hex()))
    }
}

impl FromStr for VolumeName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let name = || text.chars().take(140).collect();
        match text.len() {
            1 if is_name(text) => Err(Error::ShortName { name: name() }),
            2..=255 if is_name(text) => Ok(Self(text.to_owned())),
            _ => Err(Error::Name { name: name() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["ab", "db", "my_vol.1-x", "00", &"x".repeat(255)] {
            assert_eq!(good.parse::<VolumeName>().unwrap().as_str(), good);
        }
        for bad in ["", "a", ".", "..", "../x", "a/b", "-a", ".ab", "a b", "ää", "a\0", &"x".repeat(256)] {
            assert!(bad.parse::<VolumeName>().is_err(), "{bad}");
        }
        let (one, two) = (VolumeName::random().unwrap(), VolumeName::random().unwrap());
        assert!(one != two && one.as_str().len() == 64);
    }

    proptest::proptest! {
        #[test]
        fn a_name_is_one_part_of_a_path(text in ".{0,40}") {
            if let Ok(name) = text.parse::<VolumeName>() {
                let path = std::path::Path::new("/x").join(name.as_str());
                proptest::prop_assert_eq!(path.parent(), Some(std::path::Path::new("/x")));
            }
        }
    }
}
