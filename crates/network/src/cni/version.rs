//! Versions of the specification, and what each brought.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version that is spoken here, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Version {
    /// ADD and DEL
    #[serde(rename = "0.1.0")]
    V0_1_0,
    /// VERSION
    #[serde(rename = "0.2.0")]
    V0_2_0,
    /// Lists of plugins, and results with interfaces.
    #[serde(rename = "0.3.0")]
    V0_3_0,
    /// A correction of that.
    #[serde(rename = "0.3.1")]
    V0_3_1,
    /// CHECK, and DEL with the result of ADD.
    #[serde(rename = "0.4.0")]
    V0_4_0,
    /// Results without the version of each address.
    #[serde(rename = "1.0.0")]
    V1_0_0,
    /// GC, STATUS, `cniVersions`.
    #[serde(rename = "1.1.0")]
    V1_1_0,
}

impl Version {
    /// All, in order.
    pub const ALL: [Self; 7] =
        [Self::V0_1_0, Self::V0_2_0, Self::V0_3_0, Self::V0_3_1, Self::V0_4_0, Self::V1_0_0, Self::V1_1_0];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// Whether there is CHECK, and DEL is given the result of ADD.
    pub(super) fn has_check(self) -> bool {
        self >= Self::V0_4_0
    }

    /// Whether there are GC and STATUS.
    pub(super) fn has_collection(self) -> bool {
        self >= Self::V1_1_0
    }
}

impl FromStr for Version {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or(())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
