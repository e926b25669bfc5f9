//! Names of networks: what Docker allows, so that a name is a file's name and a word of a command, too.

use std::str::FromStr;

use conex_oci::{checked_text, is_name};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::shown;

/// A valid name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkName(String);
checked_text!(NetworkName);

impl FromStr for NetworkName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if is_name(text) && text.len() <= 128 {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::Name { name: shown(text, 140) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "db", "my_net.1-x", "0"] {
            assert_eq!(good.parse::<NetworkName>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a/b", "-a", "a b", "ä", &"x".repeat(129)] {
            assert!(bad.parse::<NetworkName>().is_err(), "{bad}");
        }
    }
}
