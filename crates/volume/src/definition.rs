//! What a volume is: `volume.json`, written once, when it is made.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Backing, Result, VolumeName};

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: VolumeName,
    /// `local`: there is no other.
    pub driver: String,
    /// `--opt`: what is mounted in its place, or its quota. See [`Backing`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// `--label`
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// When it was made.
    pub created: Timestamp,
    /// Nobody gave it its name: it may go with its container.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
}

impl Volume {
    /// What its options mean.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option).
    pub fn backing(&self) -> Result<Backing> {
        Backing::of(&self.options)
    }
}

/// What is asked of a new one.
#[derive(Debug, Clone, Default)]
pub struct NewVolume {
    /// `--opt`
    pub options: BTreeMap<String, String>,
    /// `--label`
    pub labels: BTreeMap<String, String>,
    /// Nobody gave it its name.
    pub anonymous: bool,
    /// It need not outlast a power failure that comes at once.
    pub passing: bool,
}
