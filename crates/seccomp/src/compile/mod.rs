//! From the specification's rules to BPF.
//!
//! The program looks at the architecture, then searches the number among *ranges* of calls that are decided alike, by
//! comparisons of the number alone. Verdicts that hang on nothing else the kernel finds out once, when the filter is
//! installed, and answers from a bitmap from then on (Linux 5.11); a short search makes that, and installing, cheap.

mod assemble;
mod conditions;
mod search;

use conex_oci::runtime::Seccomp;
use conex_sys::seccomp::{Flags, MAX_INSTRUCTIONS};

use crate::action::{Action, ENOSYS};
use crate::arch::{Arch, X32_BIT};
use crate::error::quoted;
use crate::rules::{self, Decision, Range};
use crate::{Error, Program, Result};

use assemble::{Assembler, Compare, Instruction};

/// Offsets in `struct seccomp_data` (linux/seccomp.h).
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// Changes with the code that is generated, and makes programs cached by another version stale.
pub(crate) const VERSION: u32 = 2;

/// Compiles the rules for this machine. Its own architecture is always among those that the program knows; a call from
/// any other that the profile does not name kills the process, an x32 call that it does not name gets ENOSYS.
pub fn compile(seccomp: &Seccomp) -> Result<Program> {
    let instructions = instructions(seccomp, Arch::host()?)?;
    let mut code = Vec::with_capacity(instructions.len() * 8);
    for instruction in &instructions {
        code.extend_from_slice(&instruction.code.to_ne_bytes());
        code.extend_from_slice(&[instruction.if_true, instruction.if_false]);
        code.extend_from_slice(&instruction.constant.to_ne_bytes());
    }
    Ok(Program::new(code, flags(seccomp)?))
}

/// The program for a kernel of architecture `host`.
fn instructions(seccomp: &Seccomp, host: Arch) -> Result<Vec<Instruction>> {
    let default = Action::parse(&seccomp.default_action, seccomp.default_errno_ret)?;
    if default == Action::Notify {
        return Err(Error::Notify("the default"));
    }
    let arches = arches(seccomp, host)?;

    let mut code = Assembler::default();
    let mut next = code.ret(Action::KillProcess.verdict());
    for arch in arches.iter().rev().filter(|arch| **arch != Arch::X32) {
        let mut ranges = rules::ranges(seccomp, default, *arch)?;
        if *arch == Arch::X86_64 {
            ranges.retain(|range| range.first < X32_BIT);
            if arches.contains(&Arch::X32) {
                ranges.extend(rules::ranges(seccomp, default, Arch::X32)?);
            } else {
                ranges.push(Range { first: X32_BIT, decision: Decision::always(Action::Errno(ENOSYS)) });
            }
        }
        let search = search::write(&mut code, &ranges);
        let entry = code.load(NUMBER, u32::MAX, search);
        next = code.branch(Compare::Equal, arch.audit(), entry, next);
        if code.len() > MAX_INSTRUCTIONS {
            break;
        }
    }
    code.load(ARCHITECTURE, u32::MAX, next);
    if code.len() > MAX_INSTRUCTIONS {
        return Err(Error::TooLong(code.len()));
    }
    Ok(code.finish())
}

/// The host's own architecture, and those of its family that the profile names.
fn arches(seccomp: &Seccomp, host: Arch) -> Result<Vec<Arch>> {
    let named = seccomp.architectures.iter().map(|name| Arch::named(name)).collect::<Result<Vec<_>>>()?;
    Ok(host.family().iter().filter(|arch| **arch == host || named.contains(&Some(**arch))).copied().collect())
}

/// The profile's flags (SPEC_ALLOW when it says nothing of flags, as with runc and crun), and those that notifying needs. WAIT_KILLABLE_RECV means nothing, and is refused by the kernel,
/// where nothing notifies.
pub(crate) fn flags(seccomp: &Seccomp) -> Result<Flags> {
    let mut flags = if seccomp.flags.is_none() { Flags::SPEC_ALLOW } else { Flags::NONE };
    for name in seccomp.flags.iter().flatten() {
        flags |= match name.as_str() {
            "SECCOMP_FILTER_FLAG_TSYNC" => Flags::TSYNC,
            "SECCOMP_FILTER_FLAG_LOG" => Flags::LOG,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => Flags::SPEC_ALLOW,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => Flags::WAIT_KILLABLE_RECV,
            _ => return Err(Error::Flag(quoted(name))),
        };
    }
    if !seccomp.syscalls.iter().any(|rule| rule.action == "SCMP_ACT_NOTIFY") {
        return Ok(flags.without(Flags::WAIT_KILLABLE_RECV));
    }
    flags |= Flags::NEW_LISTENER;
    if flags.contains(Flags::TSYNC) {
        flags |= Flags::TSYNC_ESRCH;
    }
    Ok(flags)
}

#[cfg(test)]
mod interpret;
#[cfg(test)]
mod tests;
