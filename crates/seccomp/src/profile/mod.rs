//! Profiles: policy that depends on capabilities, architecture and kernel.
//!
//! A profile is Docker's format in memory: [`Profile::parse`] reads its JSON (`docker.rs`), [`Profile::builtin`] the
//! readable list in `profiles/default.profile` (`builtin.rs`). Resolving picks the rules that hold here and now; nothing
//! of it depends on what a system call does.

mod builtin;
mod docker;

use std::borrow::Cow;

use conex_oci::runtime::{ArgumentRule, Seccomp, SyscallRule};

use crate::action::ActionName;
use crate::arch::Arch;
use crate::{Error, Result};

/// A policy: Docker's profile format, or the default one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    default: ActionName,
    default_errno: Option<u32>,
    architectures: Architectures,
    flags: Option<Vec<String>>,
    listener_path: Option<String>,
    listener_metadata: Option<String>,
    rules: Vec<Rule>,
}

/// Which numberings a program may use.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Architectures {
    /// The same everywhere.
    Listed(Vec<String>),
    /// By the machine's own: it, and others with it.
    Mapped(Vec<(String, Vec<String>)>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    /// System calls. The default profile's stand in the program already.
    names: Vec<Cow<'static, str>>,
    action: ActionName,
    errno_ret: Option<u32>,
    args: Vec<ArgumentRule>,
    /// All hold.
    includes: Conditions,
    /// None holds.
    excludes: Conditions,
}

/// What the world has to be like for a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Conditions {
    capabilities: Vec<String>,
    /// Go's names.
    arches: Vec<String>,
    kernel: Option<(u32, u32)>,
}

impl Profile {
    /// The default allow list.
    pub fn builtin() -> Self {
        builtin::profile()
    }

    /// Reads Docker's profile format, of which the runtime specification's `linux.seccomp` is a part. The error tells
    /// line and column.
    pub fn parse(text: &str) -> Result<Self> {
        docker::parse(text).map_err(Error::Profile)
    }

    /// The rules that hold on this machine for a container with these capabilities (its bounding set, as
    /// `CAP_NET_ADMIN`).
    pub fn resolve(&self, capabilities: &[String]) -> Seccomp {
        let host = Arch::host().unwrap_or(Arch::X86_64);
        self.resolve_for(capabilities, host, running_kernel())
    }

    /// The same for any machine.
    pub(crate) fn resolve_for(&self, capabilities: &[String], host: Arch, kernel: (u32, u32)) -> Seccomp {
        let capability = |name: &String| capabilities.contains(name);
        let arch = |name: &String| name == host.go_name();
        let mut syscalls: Vec<SyscallRule> = Vec::new();
        for rule in self.rules.iter().filter(|Rule { includes, excludes, .. }| {
            let included = includes.capabilities.iter().all(capability)
                && (includes.arches.is_empty() || includes.arches.iter().any(arch))
                && includes.kernel.is_none_or(|least| kernel >= least);
            let excluded = excludes.capabilities.iter().any(capability)
                || excludes.arches.iter().any(arch)
                || excludes.kernel.is_some_and(|least| kernel >= least);
            included && !excluded
        }) {
            let action = rule.action.spec_name();
            let same = |other: &SyscallRule| {
                other.action == action && other.errno_ret == rule.errno_ret && other.args == rule.args
            };
            let at = syscalls.iter().position(same).unwrap_or_else(|| {
                syscalls.push(SyscallRule {
                    names: Vec::with_capacity(rule.names.len()),
                    action: action.to_owned(),
                    errno_ret: rule.errno_ret,
                    args: rule.args.clone(),
                });
                syscalls.len() - 1
            });
            syscalls[at].names.extend(rule.names.iter().map(|name| name.clone().into_owned()));
        }
        Seccomp {
            default_action: self.default.spec_name().to_owned(),
            default_errno_ret: self.default_errno,
            architectures: match &self.architectures {
                Architectures::Listed(names) => names.clone(),
                Architectures::Mapped(map) => map
                    .iter()
                    .find(|(native, _)| native == host.name())
                    .map(|(native, others)| std::iter::once(native).chain(others).cloned().collect())
                    .unwrap_or_default(),
            },
            flags: self.flags.clone(),
            listener_path: self.listener_path.clone(),
            listener_metadata: self.listener_metadata.clone(),
            syscalls,
        }
    }
}

/// Major and minor version; 0.0 when the kernel's name for itself begins otherwise.
fn running_kernel() -> (u32, u32) {
    let uname = rustix::system::uname();
    kernel_version(&uname.release().to_string_lossy()).unwrap_or_default()
}

/// `6.18.44-generic` is (6, 18).
fn kernel_version(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests;
