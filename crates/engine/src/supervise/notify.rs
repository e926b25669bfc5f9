//! What is told to the service manager that started a container: sd_notify(3), from the supervisor or passed on for the container.
//!
//! The container never gets the manager's own socket. It gets one of the supervisor's, bound at `/run/notify/notify.sock`, and what
//! comes there is not trusted: of a message only the lines below are passed on, `MAINPID=` is always the supervisor's,
//! descriptors that come along are closed by the kernel (nobody makes room for them), one that is too long is refused, and
//! one who sends too many waits, as on a full socket.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use conex_oci::runtime::{Mount, Spec};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use crate::options::NotifyMode;
use crate::store::{Record, write};
use crate::{Error, Result};

/// In the run directory.
const FILE: &str = "notify";
/// In the container; podman's.
const INSIDE: &str = "/run/notify/notify.sock";
/// No message is longer: systemd's own bound (NOTIFY_BUFFER_MAX).
const LONGEST: usize = 4096;
/// A status is a line for people.
const LONGEST_STATUS: usize = 512;
/// So many messages at once, and then one more each `PAUSE`.
const BURST: u32 = 50;
const PAUSE: Duration = Duration::from_millis(50);

/// The way to the service manager.
pub(super) struct Notices {
    mode: NotifyMode,
    manager: SocketAddrUnix,
    /// What is sent from.
    sender: OwnedFd,
    /// The container's, with `--sdnotify container`.
    container: Option<(OwnedFd, PathBuf)>,
    /// Messages that may come now, and since when no more than that.
    left: u32,
    counted: Instant,
    is_ready: bool,
}

impl Notices {
    /// `None` unless the command was started by a service manager that wants to be told.
    ///
    /// # Errors
    /// [`Error::Notify`]
    pub(super) fn of(record: &Record, wish: Option<NotifyMode>, directory: &Path) -> Result<Option<Self>> {
        let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
            return Ok(None);
        };
        let mode = wish.or(record.options.supervision.notify).unwrap_or_default();
        if mode == NotifyMode::Ignore {
            return Ok(None);
        }
        let fail = |source: std::io::Error| Error::Notify { socket: socket.clone().into(), source };
        let manager = address(&socket).map_err(|errno| fail(errno.into()))?;
        let made = || -> rustix::io::Result<OwnedFd> {
            let sender =
                rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
            // A manager that hangs does not hang the container.
            sockopt::set_socket_timeout(&sender, sockopt::Timeout::Send, Some(Duration::from_secs(1)))?;
            Ok(sender)
        };
        let sender = made().map_err(|errno| fail(errno.into()))?;
        let container = match mode {
            NotifyMode::Container => Some(listen(directory).map_err(|errno| fail(errno.into()))?),
            _ => None,
        };
        let (left, counted) = (BURST, Instant::now());
        Ok(Some(Self { mode, manager, sender, container, left, counted, is_ready: false }))
    }

    /// Gives the container its socket.
    pub(super) fn give(&self, spec: &mut Spec) {
        let Some(process) = &mut spec.process else { return };
        process.env.retain(|text| !text.starts_with("NOTIFY_SOCKET="));
        let Some((_, path)) = &self.container else { return };
        process.env.push(format!("NOTIFY_SOCKET={INSIDE}"));
        // It is told to live up to the manager's expectation by whoever answers for it.
        if let Ok(watchdog) = std::env::var("WATCHDOG_USEC")
            && watchdog.bytes().all(|byte| byte.is_ascii_digit())
        {
            process.env.push(format!("WATCHDOG_USEC={watchdog}"));
        }
        spec.mounts.push(Mount {
            destination: INSIDE.into(),
            kind: Some("bind".to_owned()),
            source: Some(path.clone()),
            options: ["bind", "nosuid", "nodev", "noexec"].map(str::to_owned).to_vec(),
            ..Mount::default()
        });
    }

    /// A run has begun: whoever waits for the service waits for this process.
    pub(super) fn begin(&mut self) {
        if self.mode == NotifyMode::Conmon {
            return self.ready();
        }
        self.send(&format!("MAINPID={}", own_pid()));
    }

    /// A probe says that it works.
    pub(super) fn healthy(&mut self) {
        if self.mode == NotifyMode::Healthy {
            self.ready();
        }
    }

    fn ready(&mut self) {
        if !std::mem::replace(&mut self.is_ready, true) {
            self.send(&format!("MAINPID={}\nREADY=1", own_pid()));
        }
    }

    /// Where the container is heard; not while it has said too much.
    pub(super) fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.container.as_ref().filter(|_| self.left > 0).map(|(socket, _)| socket.as_fd())
    }

    /// When to listen again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (self.container.is_some() && self.left == 0).then(|| self.counted + PAUSE)
    }

    /// Hears the container, and passes on what may be.
    pub(super) fn hear(&mut self) {
        let earned = self.counted.elapsed().as_millis() / PAUSE.as_millis();
        if earned > 0 {
            self.left = self.left.saturating_add(u32::try_from(earned).unwrap_or(BURST)).min(BURST);
            self.counted = Instant::now();
        }
        let mut buffer = [0; LONGEST + 1];
        while self.left > 0 {
            let Some((socket, _)) = &self.container else { return };
            // Without room for descriptors the kernel closes those that come along (unix(7)).
            let count = match rustix::net::recv(socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((count, _)) => count,
                Err(_) => return,
            };
            self.left -= 1;
            if count > LONGEST {
                log::warn!("a message of the container's for the service manager is too long");
                continue;
            }
            if let Some(message) = allowed(&buffer[..count], own_pid()) {
                self.send(&message);
            }
        }
    }

    fn send(&self, message: &str) {
        let flags = SendFlags::NOSIGNAL;
        if let Err(error) = rustix::net::sendto(&self.sender, message.as_bytes(), flags, &self.manager) {
            log::warn!("cannot tell the service manager: {error}");
        }
    }

    /// The last run has ended.
    pub(super) fn forget(&self) -> Result<()> {
        self.container.as_ref().map_or(Ok(()), |(_, path)| write::unlink(path))
    }
}

/// What a dead supervisor left.
pub(crate) fn clear(directory: &Path) -> Result<()> {
    write::unlink(&directory.join(FILE))
}

/// Of a message what may be passed on; `None` when nothing is.
fn allowed(message: &[u8], pid: i32) -> Option<String> {
    let mut passed = String::new();
    for line in message.split(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let Some((key, value)) = line.split_once('=') else { continue };
        let digits =
            || !value.is_empty() && value.len() <= 20 && value.bytes().all(|byte| byte.is_ascii_digit());
        let line = match (key, value) {
            // Whatever it says its main process is: what the manager waits for is the supervisor.
            ("READY", "1") => format!("MAINPID={pid}\nREADY=1"),
            ("STOPPING" | "RELOADING" | "WATCHDOG", "1") => line.to_owned(),
            // With RELOADING=1 (sd_notify(3)).
            ("MONOTONIC_USEC", _) if digits() => line.to_owned(),
            ("STATUS", text) => {
                let mut status: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
                let end =
                    (0..=LONGEST_STATUS.min(status.len())).rev().find(|end| status.is_char_boundary(*end));
                status.truncate(end.unwrap_or(0));
                format!("STATUS={status}")
            }
            _ => continue,
        };
        if !passed.is_empty() {
            passed.push('\n');
        }
        passed.push_str(&line);
    }
    (!passed.is_empty()).then_some(passed)
}

/// NOTIFY_SOCKET as sd_notify(3) has it: a path, or an abstract name after `@`.
fn address(socket: &OsString) -> rustix::io::Result<SocketAddrUnix> {
    match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name),
        [b'/', ..] => SocketAddrUnix::new(Path::new(socket)),
        _ => Err(rustix::io::Errno::AFNOSUPPORT),
    }
}

/// The container's socket, which anybody in there may write to.
fn listen(directory: &Path) -> rustix::io::Result<(OwnedFd, PathBuf)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    let Some((_held, address)) = crate::attach::address_of(directory, FILE)? else {
        return Err(rustix::io::Errno::NOENT);
    };
    rustix::net::bind(&socket, &address)?;
    let path = directory.join(FILE);
    rustix::fs::chmod(&path, 0o777.into())?;
    Ok((socket, path))
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// How many descriptors, from 3 on, a service manager has passed to this process (sd_listen_fds(3)).
pub(crate) fn passed_descriptors() -> u32 {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let Some(count) = number("LISTEN_FDS").filter(|count| (1..=64).contains(count)) else { return 0 };
    if number("LISTEN_PID") != Some(own_pid().unsigned_abs()) {
        return 0;
    }
    count
}

/// Tells the container's first process of them.
pub(super) fn tell_of_descriptors(spec: &mut Spec, count: u32) {
    let Some(process) = spec.process.as_mut().filter(|_| count > 0) else { return };
    process.env.retain(|text| !text.starts_with("LISTEN_"));
    process.env.extend([format!("LISTEN_FDS={count}"), "LISTEN_PID=1".to_owned()]);
    if let Ok(names) = std::env::var("LISTEN_FDNAMES") {
        process.env.push(format!("LISTEN_FDNAMES={names}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_on() {
        let allowed = |message: &str| allowed(message.as_bytes(), 7);
        assert_eq!(allowed("READY=1").unwrap(), "MAINPID=7\nREADY=1");
        assert_eq!(allowed("READY=1\nSTATUS=up\nMAINPID=1\n").unwrap(), "MAINPID=7\nREADY=1\nSTATUS=up");
        assert_eq!(allowed("RELOADING=1\nMONOTONIC_USEC=12").unwrap(), "RELOADING=1\nMONOTONIC_USEC=12");
        for line in ["STOPPING=1", "WATCHDOG=1"] {
            assert_eq!(allowed(line).unwrap(), line);
        }
        for refused in [
            "",
            "MAINPID=1",
            "FDSTORE=1\nFDNAME=x",
            "READY=0",
            "WATCHDOG=trigger",
            "WATCHDOG_USEC=1",
            "MONOTONIC_USEC=1x",
            "BUSERROR=a",
            "NOTIFYACCESS=all",
            "ready=1",
        ] {
            assert_eq!(allowed(refused), None, "{refused}");
        }
        assert_eq!(allowed("STATUS=a\u{1b}[2Jb\rc").unwrap(), "STATUS=a?[2Jb?c");
        assert_eq!(allowed(&format!("STATUS={}", "ä".repeat(2000))).unwrap().len(), 7 + LONGEST_STATUS);
    }

    proptest::proptest! {
        #[test]
        fn never_more_than_is_known(message in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            for line in allowed(&message, 7).unwrap_or_default().lines() {
                let known = ["MAINPID=7", "READY=1", "STOPPING=1", "RELOADING=1", "WATCHDOG=1"];
                proptest::prop_assert!(known.contains(&line) || line.starts_with("STATUS=") || line.starts_with("MONOTONIC_USEC="));
            }
        }
    }
}
