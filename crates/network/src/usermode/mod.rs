//! Networks of an ordinary user, who may make no devices on the host: a program of his carries what a container sends and receives,
//! by sockets of its own. pasta(1) where it is installed, which keeps the addresses of who asks and copies the host's; else
//! slirp4netns(1), whose containers are at 10.0.2.100 behind a translation.
//!
//! The program belongs to one container and ends with it. Its traces are in the container's run directory: `uplink` (what pasta watches:
//! it ends when the file goes), `uplink.pid`, `uplink.sock` (slirp4netns takes ports there).

mod pasta;
mod slirp;

use std::io::{self, Read};
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use conex_sys::process::find_helper;
use rustix::mount::{UnmountFlags, unmount};

use crate::error::shown;
use crate::ports::{Protocol, Published};
use crate::{Error, Result};

/// The files in a container's run directory.
const MARK: &str = "uplink";
const PID: &str = "uplink.pid";
const SOCKET: &str = "uplink.sock";
/// How long a program may take to set itself up.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most that is heard of one that fails, in bytes.
const MOST_SAID: u64 = 4096;

/// And shown, in characters.
const MOST_SHOWN: usize = 300;

/// A program that carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carrier {
    /// pasta(1)
    Pasta(PathBuf),
    /// slirp4netns(1)
    Slirp(PathBuf),
}

/// What is to be carried.
#[derive(Debug, Clone, Copy)]
pub struct Uplink<'a> {
    /// The process whose network namespace it is.
    pub pid: u32,
    /// The namespace.
    pub namespace: BorrowedFd<'a>,
    /// The container's run directory.
    pub directory: &'a Path,
    /// What the device in the container is called.
    pub device: &'a str,
    /// What of the host's is led there. Nobody holds the ports.
    pub ports: &'a [Published],
}

/// Something is carried for as long as this is held, or until [`stop`].
#[derive(Debug)]
pub struct Carried {
    _slirp: Option<slirp::Slirp>,
}

impl Carrier {
    /// The one to use: by `$PATH`, absolute directories alone.
    ///
    /// # Errors
    /// [`Error::NoCarrier`].
    pub fn find() -> Result<Self> {
        let found = |name: &str| find_helper(name, std::env::var_os("PATH"));
        let pasta = found("pasta").map(Self::Pasta);
        pasta.or_else(|| found("slirp4netns").map(Self::Slirp)).ok_or(Error::NoCarrier)
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pasta(_) => pasta::NAME,
            Self::Slirp(_) => slirp::NAME,
        }
    }

    /// Whether IPv6 addresses of the host can lead to containers.
    pub fn has_v6_ports(&self) -> bool {
        matches!(self, Self::Pasta(_))
    }

    /// Where a container of the program of this name asks for names if it can reach none of the host's name servers.
    pub fn name_server(name: &str) -> Option<IpAddr> {
        match name {
            pasta::NAME => Some(pasta::NAME_SERVER),
            slirp::NAME => Some(slirp::NAME_SERVER),
            _ => None,
        }
    }

    /// Starts it, and waits until the container's device is there.
    ///
    /// # Errors
    /// [`Error::Carrier`] with what the program says; [`Error::CarriedProtocol`].
    pub fn start(&self, uplink: &Uplink<'_>) -> Result<Carried> {
        if let Some(port) = uplink.ports.iter().find(|port| port.protocol == Protocol::Sctp) {
            return Err(Error::CarriedProtocol { program: self.name(), protocol: port.protocol });
        }
        let slirp = match self {
            Self::Pasta(program) => pasta::start(program, uplink).map(|()| None),
            Self::Slirp(program) => slirp::start(program, uplink).map(Some),
        };
        slirp.map(|slirp| Carried { _slirp: slirp })
    }
}

/// Ends what was started for the container of this run directory, and takes its traces away. Nothing there is no error.
///
/// # Errors
/// [`Error::File`] for what stays.
pub fn stop(directory: &Path) -> Result<()> {
    let paths = [MARK, SOCKET, PID].map(|name| directory.join(name));
    if paths.iter().all(|path| path.symlink_metadata().is_err()) {
        return Ok(());
    }
    pasta::kill(directory);
    // Still there when its owner was killed just then.
    let _ = unmount(&paths[0], UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    // The number last: by that pasta is found.
    for path in &paths {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::file("remove", path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A program with nothing to read, that says what goes wrong.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// What a program that has failed said last, in one line.
fn said(child: &mut Child) -> String {
    let mut text = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(MOST_SAID).read_to_end(&mut text);
    }
    let text = String::from_utf8_lossy(&text);
    // Without a system log pasta complains of that, too.
    let mut lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.ends_with("to syslog"));
    shown(lines.next_back().unwrap_or("it gave no reason"), MOST_SHOWN)
}

/// Until `done` says so, or the program's time is over.
fn wait<T>(mut done: impl FnMut() -> io::Result<Option<T>>) -> io::Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = done()? {
            return Ok(value);
        }
        if Instant::now() > until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
