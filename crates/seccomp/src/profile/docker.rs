//! Docker's profile format: the specification's `seccomp` object with conditions on rules and a map of architectures.
//!
//! Checked while it is read, so that an error carries its place in the text, unless it is one of the whole text. Unknown fields are ignored, as Docker does.

use conex_oci::runtime::ArgumentRule;
use serde::Deserialize;

use super::{Architectures, Conditions, Profile, Rule};
use crate::action::{Action, ActionName};
use crate::arch::Arch;
use crate::condition::Operator;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Raw")]
struct Document(Profile);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    default_action: ActionName,
    #[serde(default)]
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Option<Vec<ArchitectureName>>,
    #[serde(default)]
    arch_map: Option<Vec<Family>>,
    #[serde(default)]
    flags: Option<Vec<String>>,
    #[serde(default)]
    listener_path: Option<String>,
    #[serde(default)]
    listener_metadata: Option<String>,
    #[serde(default)]
    syscalls: Option<Vec<RawRule>>,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct ArchitectureName(String);

impl TryFrom<String> for ArchitectureName {
    type Error = crate::Error;

    fn try_from(name: String) -> crate::Result<Self> {
        Arch::named(&name)?;
        Ok(Self(name))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Family {
    architecture: ArchitectureName,
    #[serde(default)]
    sub_architectures: Option<Vec<ArchitectureName>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", try_from = "RawFields")]
struct RawRule(Rule);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFields {
    /// The old way of naming one.
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    action: ActionName,
    #[serde(default)]
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<RawArgument>>,
    #[serde(default)]
    includes: Option<RawConditions>,
    #[serde(default)]
    excludes: Option<RawConditions>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", try_from = "RawArgumentFields")]
struct RawArgument(ArgumentRule);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawArgumentFields {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: Operator,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct RawConditions {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    #[serde(default)]
    min_kernel: Option<Kernel>,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Kernel(u32, u32);

impl TryFrom<String> for Kernel {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let version =
            super::kernel_version(&text).filter(|_| text.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
        let (major, minor) =
            version.ok_or_else(|| format!("minKernel {text:?} is malformed (expected as in 4.8)"))?;
        Ok(Self(major, minor))
    }
}

impl TryFrom<RawArgumentFields> for RawArgument {
    type Error = String;

    fn try_from(raw: RawArgumentFields) -> Result<Self, String> {
        if raw.index > 5 {
            return Err(format!("argument index {} is out of range (0 to 5)", raw.index));
        }
        Ok(Self(ArgumentRule {
            index: raw.index,
            value: raw.value,
            value_two: raw.value_two,
            op: raw.op.spec_name().to_owned(),
        }))
    }
}

impl TryFrom<RawFields> for RawRule {
    type Error = String;

    fn try_from(raw: RawFields) -> Result<Self, String> {
        let names = match (raw.name, raw.names) {
            (Some(_), Some(_)) => return Err("a rule has both `name` and `names`".to_owned()),
            (Some(name), None) => vec![name],
            (None, Some(names)) => names,
            (None, None) => return Err("a rule has neither `name` nor `names`".to_owned()),
        };
        Action::new(raw.action, raw.errno_ret).map_err(|error| error.to_string())?;
        Ok(Self(Rule {
            names: names.into_iter().map(Into::into).collect(),
            action: raw.action,
            errno_ret: raw.errno_ret,
            args: raw.args.unwrap_or_default().into_iter().map(|RawArgument(arg)| arg).collect(),
            includes: raw.includes.unwrap_or_default().into(),
            excludes: raw.excludes.unwrap_or_default().into(),
        }))
    }
}

impl From<RawConditions> for Conditions {
    fn from(raw: RawConditions) -> Self {
        Self {
            capabilities: raw.caps.unwrap_or_default(),
            arches: raw.arches.unwrap_or_default(),
            kernel: raw.min_kernel.map(|Kernel(major, minor)| (major, minor)),
        }
    }
}

impl TryFrom<Raw> for Document {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        Action::new(raw.default_action, raw.default_errno_ret).map_err(|error| error.to_string())?;
        let plain = |names: Vec<ArchitectureName>| names.into_iter().map(|name| name.0).collect::<Vec<_>>();
        let architectures = match (raw.architectures, raw.arch_map) {
            (Some(listed), Some(map)) if !listed.is_empty() && !map.is_empty() => {
                return Err("a profile has both `architectures` and `archMap`".to_owned());
            }
            (_, Some(map)) if !map.is_empty() => Architectures::Mapped(
                map.into_iter()
                    .map(|f| (f.architecture.0, plain(f.sub_architectures.unwrap_or_default())))
                    .collect(),
            ),
            (listed, _) => Architectures::Listed(plain(listed.unwrap_or_default())),
        };
        Ok(Self(Profile {
            default: raw.default_action,
            default_errno: raw.default_errno_ret,
            architectures,
            flags: raw.flags,
            listener_path: raw.listener_path,
            listener_metadata: raw.listener_metadata,
            rules: raw.syscalls.unwrap_or_default().into_iter().map(|RawRule(rule)| rule).collect(),
        }))
    }
}

pub(super) fn parse(text: &str) -> Result<Profile, serde_json::Error> {
    serde_json::from_str::<Document>(text).map(|Document(profile)| profile)
}
