//! A process that another process remembers: by its number, and its start time, which a later owner of the number has not.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

/// A container's first process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Init {
    /// As seen from the pid namespace of the runtime.
    pub pid: u32,
    /// Clock ticks since boot; proc_pid_stat(5), field 22.
    pub start_time: u64,
}

impl Init {
    /// Of a process that lives; `None` for one that does not.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = stat(pid)?;
        Some(Self { pid, start_time: stat.start_time })
    }

    /// The process, held; `None` when it has ended, reaped or not.
    pub fn hold(self) -> Option<OwnedFd> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw)?;
        let held = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // Looked at when it is held: the number cannot change hands any more.
        let stat = stat(self.pid)?;
        (stat.start_time == self.start_time && !stat.ended).then_some(held)
    }
}

struct Stat {
    start_time: u64,
    ended: bool,
}

fn stat(pid: u32) -> Option<Stat> {
    // The kernel makes the text anew for each read: one is enough, and a line is never longer.
    let mut text = [0; 1024];
    let length = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut text).ok()?;
    parse(&text[..length])
}

/// `12 (a name) S 1 …`: the name may hold anything, parentheses too.
fn parse(text: &[u8]) -> Option<Stat> {
    let after = text.iter().rposition(|byte| *byte == b')')? + 1;
    let mut fields = text.get(after..)?.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
    let ended = matches!(fields.next()?, b"Z" | b"X" | b"x");
    // The state is field 3.
    let start_time = std::str::from_utf8(fields.nth(22 - 4)?).ok()?.trim_end().parse().ok()?;
    Some(Stat { start_time, ended })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_the_rest() {
        let text = b"7 (a) Z 1 2) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0\n";
        let stat = parse(text).expect("a line of the kernel's");
        assert_eq!((stat.start_time, stat.ended), (4711, false));
        assert!(parse(b"7 (x) Z 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1 0\n").expect("a zombie").ended);
        assert!(parse(b"").is_none() && parse(b"7 (x) S 1").is_none());
    }

    #[test]
    fn another_start_time_is_another_process() {
        let own = Init::of(std::process::id()).expect("this process");
        assert!(own.hold().is_some());
        assert!(Init { start_time: own.start_time + 1, ..own }.hold().is_none());
        assert!(Init { pid: u32::MAX, start_time: 0 }.hold().is_none());
    }
}
