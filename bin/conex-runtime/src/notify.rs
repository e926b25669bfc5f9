//! Readiness for systemd (sd_notify(3)): the container gets a socket of its own, and what says READY on it is told to the
//! service manager of whoever called, with the container's process as the main one.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use conex_oci::runtime::{Mount, Spec};
use conex_runtime::state::Container;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use rustix::pipe::PipeFlags;

use crate::error::Error;
use crate::sockets::with_address;

const DIRECTORY: &str = "notify";
const INSIDE: &str = "/run/notify";
const NAME: &str = "notify.sock";

/// The container's socket.
pub(crate) struct NotifySocket {
    /// The manager's: a path, or `@name` in the abstract namespace.
    manager: String,
    path: PathBuf,
    socket: OwnedFd,
}

impl NotifySocket {
    /// When NOTIFY_SOCKET is set: the directory of the socket, and in the spec its mount and variable.
    pub(crate) fn prepare(container: &Container, spec: &mut Spec) -> Result<Option<Self>, Error> {
        let Some(socket) = Self::of(container)? else { return Ok(None) };
        let directory = container.path().join(DIRECTORY);
        std::fs::DirBuilder::new()
            .mode(0o755)
            .create(&directory)
            .map_err(|source| Error::io("make", &directory, source))?;
        spec.mounts.push(Mount {
            destination: PathBuf::from(INSIDE),
            source: Some(directory),
            options: ["bind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned).to_vec(),
            ..Mount::default()
        });
        if let Some(process) = &mut spec.process {
            process.env.push(format!("NOTIFY_SOCKET={INSIDE}/{NAME}"));
        }
        Ok(Some(socket))
    }

    /// Of a container that was prepared, when NOTIFY_SOCKET is set.
    pub(crate) fn of(container: &Container) -> Result<Option<Self>, Error> {
        let Some(manager) = std::env::var("NOTIFY_SOCKET").ok().filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let path = container.path().join(DIRECTORY).join(NAME);
        let socket = datagram().map_err(|errno| Error::io("make", &path, errno))?;
        Ok(Some(Self { manager, path, socket }))
    }

    /// From here on the container can speak.
    pub(crate) fn listen(&self) -> Result<(), Error> {
        let failed = |source: std::io::Error| Error::io("listen on", &self.path, source);
        with_address(&self.path, |address| rustix::net::bind(&self.socket, address))
            .map_err(|errno| failed(errno.into()))?;
        std::fs::set_permissions(&self.path, std::fs::Permissions::from_mode(0o777)).map_err(failed)
    }

    /// Waits until the container is ready, or has ended, and passes the word on.
    pub(crate) fn wait(&self, pid: u32, pidfd: &OwnedFd) -> Result<(), Error> {
        let failed = |errno: Errno| Error::io("wait for the readiness on", &self.path, errno);
        loop {
            let mut fds = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(pidfd, PollFlags::IN)];
            retry_on_intr(|| poll(&mut fds, None)).map_err(failed)?;
            if fds[0].revents().is_empty() {
                return Ok(());
            }
            let mut buffer = [0; 4096];
            let read = retry_on_intr(|| rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::empty()));
            let message = &buffer[..read.map_err(failed)?.0];
            let ready = message.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"READY="));
            if let Some(ready) = ready {
                return self
                    .tell(ready, pid)
                    .map_err(|errno| Error::io("tell the service manager at", &self.manager, errno));
            }
        }
    }

    /// READY, then who the main process is, then a barrier, so that the manager has understood before we go.
    fn tell(&self, ready: &[u8], pid: u32) -> Result<(), Errno> {
        let client = datagram()?;
        let address = match self.manager.strip_prefix('@') {
            Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes())?,
            None => SocketAddrUnix::new(Path::new(&self.manager))?,
        };
        rustix::net::connect(&client, &address)?;
        rustix::net::send(&client, &[ready, b"\n"].concat(), SendFlags::NOSIGNAL)?;
        rustix::net::send(&client, format!("MAINPID={pid}\n").as_bytes(), SendFlags::NOSIGNAL)?;
        let (ours, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [theirs.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        rustix::net::sendmsg(&client, &[IoSlice::new(b"BARRIER=1")], &mut control, SendFlags::NOSIGNAL)?;
        drop(theirs);
        let mut fds = [PollFd::new(&ours, PollFlags::IN)];
        let patience = Timespec { tv_sec: 30, tv_nsec: 0 };
        if retry_on_intr(|| poll(&mut fds, Some(&patience)))? == 0 {
            log::warn!("the service manager has not answered the barrier for 30 s");
        }
        Ok(())
    }
}

fn datagram() -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
}
