//! `--pod`, `--share`: containers that share namespaces, as Podman's and Kubernetes' pods.

use std::fmt;
use std::str::FromStr;

use conex_oci::ContainerId;
use serde::{Deserialize, Serialize};

use super::OptionError;

/// A container's part in a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum PodPart {
    /// It is the pod: its name and id are the pod's, and its namespaces are what the others share.
    Infra(PodOptions),
    /// It shares what the pod shares.
    Member {
        /// The pod's id.
        pod: ContainerId,
    },
}

/// What a pod is, beside a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodOptions {
    /// `--share`
    #[serde(default)]
    pub shared: Shared,
    /// `--exit-policy`
    #[serde(default)]
    pub exit_policy: ExitPolicy,
}

/// A kind of namespace that a pod's containers may share. The user namespace comes with any of them, since it owns them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "namespaces(7)'s own words")]
pub enum SharedKind {
    Cgroup,
    Ipc,
    Net,
    Pid,
    Uts,
}

const KINDS: [(&str, SharedKind); 5] = [
    ("cgroup", SharedKind::Cgroup),
    ("ipc", SharedKind::Ipc),
    ("net", SharedKind::Net),
    ("pid", SharedKind::Pid),
    ("uts", SharedKind::Uts),
];

impl fmt::Display for SharedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, _) = KINDS.iter().find(|(_, kind)| kind == self).unwrap_or(&KINDS[0]);
        f.write_str(name)
    }
}

/// `--share`: a list; with a plus before its first word it adds to the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared(Vec<SharedKind>);

impl Default for Shared {
    /// Podman's.
    fn default() -> Self {
        Self(vec![SharedKind::Ipc, SharedKind::Net, SharedKind::Uts])
    }
}

impl Shared {
    /// Whether a kind is shared.
    pub fn has(&self, kind: SharedKind) -> bool {
        self.0.contains(&kind)
    }

    /// In alphabetical order.
    pub fn kinds(&self) -> &[SharedKind] {
        &self.0
    }
}

impl FromStr for Shared {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let (mut kinds, list) = match text.strip_prefix('+') {
            Some(list) => (Self::default().0, list),
            None => (Vec::new(), text),
        };
        if matches!(list, "" | "none") {
            return Ok(Self(kinds));
        }
        for word in list.split(',') {
            // The one that owns the others is shared with them.
            if word == "user" {
                continue;
            }
            let known = KINDS.iter().find(|(name, _)| *name == word);
            let (_, kind) = known.ok_or_else(|| {
                OptionError::syntax(
                    "--share",
                    text,
                    "expected a list of cgroup, ipc, net, pid, user, uts; or none",
                )
            })?;
            kinds.push(*kind);
        }
        kinds.sort_unstable();
        kinds.dedup();
        Ok(Self(kinds))
    }
}

/// What becomes of a pod when the last of its containers has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExitPolicy {
    /// It goes on.
    #[default]
    Continue,
    /// It is stopped.
    Stop,
}

impl ExitPolicy {
    /// As it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Stop => "stop",
        }
    }
}

impl FromStr for ExitPolicy {
    type Err = OptionError;
    fn from_str(text: &str) -> Result<Self, OptionError> {
        match text {
            "continue" => Ok(Self::Continue),
            "stop" => Ok(Self::Stop),
            _ => Err(OptionError::syntax("--exit-policy", text, "expected continue or stop")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared() {
        let words = |text: &str| {
            text.parse::<Shared>()
                .map(|shared| shared.kinds().iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(words("net,ipc,net,user").unwrap(), ["ipc", "net"]);
        assert_eq!(words("+pid").unwrap(), ["ipc", "net", "pid", "uts"]);
        assert!(words("none").unwrap().is_empty() && words("").unwrap().is_empty());
        for bad in ["mnt", "net,", "+x", "net;ipc"] {
            assert!(words(bad).is_err(), "{bad}");
        }
    }
}
