//! `config-linux.md#seccomp`

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ParseError, from_json};

/// A system call filter as it is written, its rules read when somebody asks for them: a filter that has been compiled before is
/// found by this text, and Docker's has four hundred names in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeccompText(Box<RawValue>);

impl SeccompText {
    /// The JSON.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// What it says.
    ///
    /// # Errors
    /// Those of [`from_json`], with the field's place in the whole document.
    pub fn rules(&self) -> Result<Seccomp, ParseError> {
        from_json(self.text().as_bytes()).map_err(|ParseError { path, message }| {
            let dot = if path.is_empty() { "" } else { "." };
            ParseError { path: format!("linux.seccomp{dot}{path}"), message }
        })
    }
}

impl From<&Seccomp> for SeccompText {
    fn from(rules: &Seccomp) -> Self {
        let text = serde_json::value::to_raw_value(rules);
        Self(text.unwrap_or_else(|_| unreachable!("strings and numbers are JSON")))
    }
}

impl PartialEq for SeccompText {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

/// A system call filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seccomp {
    /// What happens to a call that no rule names: `SCMP_ACT_ERRNO`, …
    pub default_action: String,
    /// For `SCMP_ACT_ERRNO`; EPERM when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// `SCMP_ARCH_X86_64`, …; empty is the native one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    /// `SECCOMP_FILTER_FLAG_…`; absent is not empty: as with runc and crun, it means `SECCOMP_FILTER_FLAG_SPEC_ALLOW`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<String>>,
    /// The unix socket that gets the notification fd and the container process's state (`#containerprocessstate`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_path: Option<String>,
    /// Sent along to it; nothing without `listener_path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_metadata: Option<String>,
    /// The rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub syscalls: Vec<SyscallRule>,
}

/// One rule: it matches when every argument condition does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyscallRule {
    /// System calls by name; unknown ones are skipped.
    pub names: Vec<String>,
    /// `SCMP_ACT_ALLOW`, …
    pub action: String,
    /// For `SCMP_ACT_ERRNO` and `SCMP_ACT_TRACE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions, all of which hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<ArgumentRule>,
}

/// A condition on one argument.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ArgumentRule {
    /// 0 to 5.
    pub index: u32,
    /// Compared with; the mask for `SCMP_CMP_MASKED_EQ`.
    pub value: u64,
    /// The value for `SCMP_CMP_MASKED_EQ`.
    #[serde(skip_serializing_if = "is_zero")]
    pub value_two: u64,
    /// `SCMP_CMP_EQ`, `SCMP_CMP_MASKED_EQ`, …
    pub op: String,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}
