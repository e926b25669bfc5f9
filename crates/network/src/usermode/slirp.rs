//! slirp4netns(1). It tells by a pipe when it is ready, and ends with another.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;

use rustix::fs::{Mode, OFlags};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};
use serde_json::{Value, json};

use super::{MARK, MOST_SHOWN, PATIENCE, SOCKET, Uplink, command, said, wait};
use crate::error::shown;
use crate::ports::Published;
use crate::{Error, Result};

pub(super) const NAME: &str = "slirp4netns";
/// Its own name server, which asks the host's.
pub(super) const NAME_SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 2, 3));
/// The most that it answers, in bytes.
const MOST: u64 = 64 << 10;

/// It runs for as long as this is held; of a killed holder it sees the end.
#[derive(Debug)]
pub(super) struct Slirp {
    child: Child,
    _held: OwnedFd,
}

impl Drop for Slirp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn start(program: &Path, uplink: &Uplink<'_>) -> Result<Slirp> {
    let failed = |why: String| Error::Carrier { program: NAME, why };
    let pipes = |errno: rustix::io::Errno| failed(errno.to_string());
    let mark = uplink.directory.join(MARK);
    std::fs::File::create(&mark).map_err(Error::file("make", &mark))?;
    // It inherits its ends, and not ours.
    let (ready, say) = pipe_with(PipeFlags::NONBLOCK).map_err(pipes)?;
    let (end, held) = pipe_with(PipeFlags::empty()).map_err(pipes)?;
    fcntl_setfd(&ready, FdFlags::CLOEXEC)
        .and_then(|()| fcntl_setfd(&held, FdFlags::CLOEXEC))
        .map_err(pipes)?;
    let mut command = command(program);
    command.args(["--configure", "--mtu=65520", "--disable-host-loopback", "--enable-ipv6"]);
    command.arg(format!("--ready-fd={}", say.as_raw_fd())).arg(format!("--exit-fd={}", end.as_raw_fd()));
    // The whole path is too long for a socket's address.
    command.arg(format!("--api-socket={SOCKET}")).current_dir(uplink.directory);
    command.args([&uplink.pid.to_string(), uplink.device]);
    let child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let mut slirp = Slirp { child, _held: held };
    drop((say, end));
    let mut word = [0; 1];
    let heard = wait(|| match rustix::io::read(&ready, &mut word) {
        Ok(count) => Ok(Some(count)),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
        Err(errno) => Err(errno.into()),
    });
    match heard {
        Ok(1..) => {}
        // Ended without a word.
        Ok(0) => return Err(failed(said(&mut slirp.child))),
        Err(error) => return Err(failed(error.to_string())),
    }
    uplink.ports.iter().try_for_each(|port| publish(uplink.directory, port))?;
    Ok(slirp)
}

fn publish(directory: &Path, port: &Published) -> Result<()> {
    let failed = |why: String| Error::Carrier { program: NAME, why };
    let answer = ask(
        directory,
        &json!({ "execute": "add_hostfwd", "arguments": {
            "proto": port.protocol.to_string(), "host_addr": port.host.to_string(), "host_port": port.host_port,
            "guest_port": port.container_port,
        }}),
    );
    let answer = answer.map_err(|error| failed(error.to_string()))?;
    match &answer["error"]["desc"] {
        Value::Null => Ok(()),
        why => {
            let why = shown(&why.to_string(), MOST_SHOWN);
            Err(failed(format!("port {}:{}: {why}", port.host, port.host_port)))
        }
    }
}

fn ask(directory: &Path, question: &Value) -> io::Result<Value> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory, flags, Mode::empty())?;
    let mut stream = UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(question.to_string().as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer)?;
    serde_json::from_slice(&answer).map_err(io::Error::from)
}
