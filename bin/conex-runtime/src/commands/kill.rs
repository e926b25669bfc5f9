//! `kill`: a signal to a container's first process, or to all.

use std::os::fd::AsFd;

use conex_oci::runtime::Status;
use conex_runtime::state::Container;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::Act;
use crate::context::Context;
use crate::error::Error;
use crate::flags::arguments;
use crate::groups;

arguments! {
    pub(super) struct Arguments {
        /// Send it to every process of the container
        all: bool = "-a --all";
    }
}

const SIGKILL: i32 = 9;

impl Act for Arguments {
    fn act(self, context: &Context) -> Result<i32, Error> {
        let container = context.container(&self.words[0])?;
        let signal = parse(self.words.get(1).map_or("SIGTERM", String::as_str))?;
        let status = container.status()?;
        if self.all {
            return to_all(&container, signal).map(|()| 0);
        }
        let Some((_, pidfd)) = container.init() else { return Err(not_running()) };
        if matches!(status, Status::Stopped | Status::Creating) {
            return Err(not_running());
        }
        match conex_sys::signal::send(pidfd.as_fd(), signal) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                return Err(not_running());
            }
            Err(error) => return Err(Error::io("signal", "the container's first process", error)),
        }
        if signal == SIGKILL {
            end(&container, status)?;
        }
        Ok(0)
    }
}

/// What a kill needs besides, to be one.
fn end(container: &Container, status: Status) -> Result<(), Error> {
    let Some(record) = container.record() else { return Ok(()) };
    if !record.shares_pids && status != Status::Paused {
        return Ok(());
    }
    match groups::open(record)? {
        // Those who share a pid namespace do not die with the first one.
        Some(cgroup) if record.shares_pids => Ok(cgroup.kill()?),
        // A freezer of cgroup v1 keeps the dead from dying.
        Some(cgroup) => Ok(cgroup.thaw()?),
        None => Ok(()),
    }
}

fn to_all(container: &Container, signal: i32) -> Result<(), Error> {
    let cgroup = container.record().map(groups::open).transpose()?.flatten();
    match cgroup {
        Some(cgroup) if signal == SIGKILL => Ok(cgroup.kill()?),
        Some(cgroup) => {
            for pid in cgroup.procs()? {
                let held = Pid::from_raw(pid.cast_signed()).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
                if let Some(Ok(held)) = held {
                    // One that has just ended needs none.
                    let _ = conex_sys::signal::send(held.as_fd(), signal);
                }
            }
            Ok(())
        }
        // All there is.
        None => match container.init() {
            Some((_, pidfd)) => conex_sys::signal::send(pidfd.as_fd(), signal)
                .map_err(|error| Error::io("signal", "the container's first process", error)),
            None => Ok(()),
        },
    }
}

fn not_running() -> Error {
    Error::refused("container not running")
}

/// signal(7), in the order of the numbers that all of Linux's common architectures share.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

fn parse(text: &str) -> Result<i32, Error> {
    let unknown = || Error::Refused(format!("unknown signal {text:?}"));
    if let Ok(number) = text.parse::<i32>() {
        return if (0..=64).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let alias = match name {
        "IOT" => "ABRT",
        "CLD" => "CHLD",
        "POLL" => "IO",
        other => other,
    };
    if let Some(index) = NAMES.iter().position(|known| *known == alias) {
        return i32::try_from(index + 1).map_err(|_| unknown());
    }
    let offset = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i32>().ok() };
    let real_time = |name: &str| {
        let number = if let Some(rest) = name.strip_prefix("RTMIN") {
            34 + offset(rest)?
        } else {
            64 + offset(name.strip_prefix("RTMAX")?)?
        };
        (34..=64).contains(&number).then_some(number)
    };
    real_time(name).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn names_and_numbers() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("sigterm", 15),
            ("SIGRTMIN+3", 37),
            ("RTMAX", 64),
            ("CHLD", 17),
            ("0", 0),
        ] {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for text in ["", "SIG", "FOO", "65", "-1", "RTMIN+99"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
