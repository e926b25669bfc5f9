//! Handing a filter's notification fd to the agent that answers (config-linux.md#seccomp, `listenerPath`).
//!
//! The filter is installed by the process itself, and from then on any of its calls may wait for the agent's answer, a call
//! that would send the fd too. So the process says beforehand which number the fd will have, and the parent fetches it.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType,
};
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};

use crate::Error;
use crate::channel::Order;
use crate::plan::parent;
use crate::waiting::Waiting;

/// How long an agent may take to have room for one more connection and for what is sent: one that is stuck must not hold up
/// whoever makes the container, with its record locked.
const PATIENCE: Duration = Duration::from_secs(10);

/// The agent that answers a filter's notifications.
#[derive(Clone, Copy)]
pub struct Listener<'a> {
    /// Its listening unix stream socket.
    pub path: &'a Path,
    /// The container process state for a process of this id, as JSON (config-linux.md#containerprocessstate).
    pub state: &'a dyn Fn(u32) -> Vec<u8>,
}

/// The spec's `listenerPath` and what must hold of it beside its filter.
pub(crate) fn require<'a>(
    program: Option<&conex_seccomp::Program>,
    listener: Option<Listener<'a>>,
) -> Result<Option<Listener<'a>>, Error> {
    match (program.is_some_and(conex_seccomp::Program::notifies), listener) {
        (true, None) => Err(Error::Spec {
            what: "linux.seccomp: SCMP_ACT_NOTIFY without listenerPath: nobody would answer".to_owned(),
        }),
        (true, listener) => Ok(listener),
        // As runc: nothing notifies, so nobody is told.
        (false, _) => Ok(None),
    }
}

impl Listener<'_> {
    /// Fetches the descriptor from the process as soon as its filter is installed, and sends it to the agent.
    pub(crate) fn introduce(&self, process: &Waiting) -> Result<(), Error> {
        let told = |errno: Errno| {
            let (late, errno) = match errno {
                Errno::AGAIN => (format!(" within {} s", PATIENCE.as_secs()), Errno::TIMEDOUT),
                errno => (String::new(), errno),
            };
            let path = self.path.display();
            Error::Init {
                what: format!("hand the seccomp notifications to the listener {path}{late}"),
                errno,
            }
        };
        let Some(notifications) = fetch(process, process.await_filtering()?)? else {
            // It failed to install, and says why itself.
            return Ok(());
        };
        self.send(process.pid(), notifications.as_fd()).map_err(told)?;
        process.channel().order(Order::Listened).map_err(parent("tell the process of its seccomp listener"))
    }

    /// EAGAIN when the agent takes longer than [`PATIENCE`].
    fn send(&self, pid: u32, notifications: BorrowedFd<'_>) -> Result<(), Errno> {
        let deadline = Instant::now() + PATIENCE;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // A full backlog makes connect(2) wait; that is what this is for (socket(7)).
        set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
        retry_on_intr(|| rustix::net::connect(&socket, &SocketAddrUnix::new(self.path)?))?;
        let state = (self.state)(pid);
        let fds = [notifications];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&fds));
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let mut sent = rustix::net::sendmsg(&socket, &[IoSlice::new(&state)], &mut control, flags)?;
        while sent < state.len() {
            match rustix::net::send(&socket, &state[sent..], flags) {
                Ok(more) => sent += more,
                Err(Errno::AGAIN) => await_room(socket.as_fd(), deadline)?,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}

fn await_room(socket: BorrowedFd<'_>, deadline: Instant) -> Result<(), Errno> {
    let left = deadline.saturating_duration_since(Instant::now());
    let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
    let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::OUT)];
    match poll(&mut fds, Some(&left)) {
        Ok(0) => Err(Errno::AGAIN),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// The descriptor as soon as it is there; `None` when the process has something else to say, which is that it failed.
fn fetch(process: &Waiting, number: i32) -> Result<Option<OwnedFd>, Error> {
    let mut shown = false;
    loop {
        match pidfd_getfd(process.pidfd(), number, PidfdGetfdFlags::empty()) {
            Ok(fd) => return Ok(Some(fd)),
            // Not yet: installing takes a fraction of a millisecond, and nothing tells of its end.
            Err(Errno::BADF) => rustix::thread::sched_yield(),
            // A parent without CAP_SYS_PTRACE where its child's memory comes from (rootless).
            Err(Errno::PERM) if !shown => {
                process
                    .channel()
                    .order(Order::Show)
                    .map_err(parent("reach the process's seccomp listener"))?;
                shown = true;
            }
            Err(Errno::PERM) => rustix::thread::sched_yield(),
            Err(errno) => return Err(parent("fetch the process's seccomp listener")(errno.into())),
        }
        if process.channel().has_report() {
            return Ok(None);
        }
    }
}
