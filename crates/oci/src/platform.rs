//! Where an image runs: `os/architecture[/variant]`, as `--platform` takes it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("platform {0:?} is malformed (expected os/arch[/variant], as in linux/arm64)")]
pub struct PlatformError(String);

/// An operating system and processor (image-spec image-index.md, `platform`). Names are Go's: `linux`, `amd64`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `linux`
    pub os: String,
    /// `v7`, `v8`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Windows' build number; kept so that a document survives a round trip.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Required features of the operating system, likewise.
    #[serde(rename = "os.features", default, skip_serializing_if = "Option::is_none")]
    pub os_features: Option<Vec<String>>,
}

impl Platform {
    /// The machine this program was built for.
    pub fn host() -> Self {
        Self::linux(match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            "riscv64" => "riscv64",
            other => other,
        })
    }

    /// Linux on `architecture`.
    pub fn linux(architecture: &str) -> Self {
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: None,
            os_version: None,
            os_features: None,
        }
    }

    /// Whether an image for `self` serves somebody who asked for `wanted`. An absent variant serves any, and arm64
    /// without a variant is v8.
    pub fn serves(&self, wanted: &Self) -> bool {
        let variant = |platform: &Self| match (platform.architecture.as_str(), platform.variant.as_deref()) {
            ("arm64", None) => Some("v8".to_owned()),
            (_, variant) => variant.map(str::to_owned),
        };
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && match (variant(self), variant(wanted)) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => true,
            }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let malformed = || PlatformError(crate::digest::clip(text));
        let mut parts = text.split('/');
        let (os, architecture, variant) = (parts.next(), parts.next(), parts.next());
        let word = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        if parts.next().is_some() || ![os, architecture, variant].into_iter().flatten().all(word) {
            return Err(malformed());
        }
        let architecture = match architecture.ok_or_else(malformed)? {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Ok(Self {
            os: os.ok_or_else(malformed)?.to_owned(),
            variant: variant.map(str::to_owned),
            ..Self::linux(architecture)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_and_match() {
        let arm: Platform = "linux/arm64/v8".parse().unwrap();
        assert!(Platform::linux("arm64").serves(&arm));
        assert!(!Platform::linux("amd64").serves(&arm));
        assert_eq!("linux/x86_64".parse::<Platform>().unwrap(), Platform::linux("amd64"));
        for bad in ["", "linux", "linux/", "a/b/c/d", "linux/../x"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
