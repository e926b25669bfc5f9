//! Descriptors 0 to 2, and the pseudo-terminal when there is one: made in the container's own devpts, so that its name
//! means the same thing inside. The master goes to the parent; the slave never has a path that is followed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use conex_oci::runtime::{Process, User};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use super::devices::is_device;
use super::masks;
use super::mounts::attach;
use crate::Stdio;
use crate::beneath;
use crate::fault::{During, Fault};

/// A pseudo-terminal, both ends.
pub(super) struct Terminal {
    master: OwnedFd,
    slave: OwnedFd,
}

impl Terminal {
    /// Opens a new one in the devpts at /dev/pts of `root`, which in a running container may be anything (hence the check).
    pub(super) fn open(root: BorrowedFd<'_>, process: &Process) -> Result<Self, Fault> {
        let during = || "open a pseudo-terminal in the container's /dev/pts".to_owned();
        let open = || -> Result<Self, Errno> {
            let multiplexer = rustix::fs::openat2(
                root,
                Path::new("/dev/pts/ptmx"),
                OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
                Mode::empty(),
                rustix::fs::ResolveFlags::IN_ROOT | rustix::fs::ResolveFlags::NO_SYMLINKS,
            )?;
            if !is_device(&multiplexer, 5, 2)? {
                return Err(Errno::NODEV);
            }
            rustix::pty::unlockpt(&multiplexer)?;
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
            let slave = rustix::pty::ioctl_tiocgptpeer(&multiplexer, flags)?;
            Ok(Self { master: multiplexer, slave })
        };
        let terminal = open().during(during)?;
        if let Some(size) = process.console_size {
            let characters = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
            let size = Winsize {
                ws_row: characters(size.height),
                ws_col: characters(size.width),
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            rustix::termios::tcsetwinsize(&terminal.master, size)
                .during(|| "set the terminal's size".into())?;
        }
        Ok(terminal)
    }

    /// /dev/console is the slave itself, bound by descriptor (CVE-2025-52565).
    pub(super) fn bind_console(&self, root: BorrowedFd<'_>) -> Result<(), Fault> {
        let bind = || -> Result<(), Errno> {
            // By no link of the image's, which could lead into the kernel's file systems.
            let dev = beneath::open_real(root, Path::new("/dev"))?;
            let target = beneath::ensure_here(dev.as_fd(), "console".as_ref(), beneath::Make::File)?;
            if beneath::is_procfs(target.as_fd())? {
                return Err(Errno::PERM);
            }
            attach(masks::clone(self.slave.as_fd(), false)?.as_fd(), target.as_fd())
        };
        bind().during(|| "bind the terminal on /dev/console".into())
    }
}

/// Puts 0 to 2 in place, owned by the user who is to run, and gives the master back for the parent.
pub(super) fn install(
    stdio: Stdio,
    terminal: Option<Terminal>,
    user: &User,
) -> Result<Option<OwnedFd>, Fault> {
    let during = || "set up standard input and output".to_owned();
    if matches!(stdio, Stdio::Inherited) {
        let standard = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
        // One that is closed stays so.
        return standard
            .iter()
            .try_for_each(|stream| match own(*stream, user) {
                Err(Errno::BADF) => Ok(()),
                other => other.during(during),
            })
            .map(|()| None);
    }
    let (streams, master) = match (stdio, terminal) {
        (Stdio::Pipes { stdin, stdout, stderr }, _) => ([stdin, stdout, stderr], None),
        (Stdio::Terminal, Some(Terminal { master, slave })) => {
            rustix::process::ioctl_tiocsctty(&slave).during(|| "take the terminal".into())?;
            let copy = || rustix::io::fcntl_dupfd_cloexec(&slave, 3).during(during);
            ([copy()?, copy()?, slave], Some(master))
        }
        (Stdio::Terminal | Stdio::Inherited, None | Some(_)) => {
            return Err(Fault::new(during(), Errno::NOTTY));
        }
    };
    for stream in &streams {
        own(stream.as_fd(), user).during(during)?;
    }
    rustix::stdio::dup2_stdin(&streams[0])
        .and_then(|()| rustix::stdio::dup2_stdout(&streams[1]))
        .and_then(|()| rustix::stdio::dup2_stderr(&streams[2]))
        .during(during)?;
    Ok(master)
}

/// So that an ordinary user can open /dev/stdout again. /dev/null and the like stay root's.
fn own(stream: BorrowedFd<'_>, user: &User) -> Result<(), Errno> {
    if user.uid == 0 || is_device(stream, 1, 3)? {
        return Ok(());
    }
    match rustix::fs::fchown(stream, Some(Uid::from_raw(user.uid)), None::<Gid>) {
        Err(Errno::INVAL | Errno::PERM | Errno::ROFS) => Ok(()),
        other => other,
    }
}
