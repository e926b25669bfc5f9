//! socketcall and ipc on i386: two old calls that stand for twenty, told apart by their first argument.
//!
//! A rule for `connect` has to hold for `socketcall(SYS_CONNECT, …)` too. The other arguments lie in memory there, where
//! a filter cannot look: a conditional rule that forbids is taken as unconditional, one that permits is left out.

use crate::action::Action;
use crate::condition::Condition;
use crate::rules::Rule;

/// One of the calls behind another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    /// `socketcall` or `ipc`.
    pub(crate) through: &'static str,
    /// Its first argument.
    number: u64,
}

/// linux/net.h, `SYS_…`
const SOCKET: [(&str, u64); 20] = [
    ("socket", 1),
    ("bind", 2),
    ("connect", 3),
    ("listen", 4),
    ("accept", 5),
    ("getsockname", 6),
    ("getpeername", 7),
    ("socketpair", 8),
    ("send", 9),
    ("recv", 10),
    ("sendto", 11),
    ("recvfrom", 12),
    ("shutdown", 13),
    ("setsockopt", 14),
    ("getsockopt", 15),
    ("sendmsg", 16),
    ("recvmsg", 17),
    ("accept4", 18),
    ("recvmmsg", 19),
    ("sendmmsg", 20),
];

/// linux/ipc.h
const IPC: [(&str, u64); 12] = [
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];

/// The call of this name, if it has a second way in.
pub(crate) fn find(name: &str) -> Option<Call> {
    let number = |table: &[(&str, u64)]| table.iter().find(|(known, _)| *known == name).map(|(_, n)| *n);
    let socket = number(&SOCKET).map(|number| Call { through: "socketcall", number });
    socket.or_else(|| number(&IPC).map(|number| Call { through: "ipc", number }))
}

impl Call {
    /// What a rule for the call itself means for the second way in.
    pub(crate) fn rule(self, rule: &Rule, default: Action) -> Option<Rule> {
        if !rule.conditions.is_empty() && rule.action.leniency() > default.leniency() {
            return None;
        }
        // The high half of ipc's first argument is a version.
        let mask = if self.through == "ipc" { 0xffff } else { u64::MAX };
        Some(Rule { conditions: vec![Condition::equal(0, mask, self.number)], action: rule.action })
    }
}
