//! The image's own files, which are hostile: /etc/passwd may be a link to the host's, a fifo, a device, or 10 GiB.

use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;

/// Small text files in the container's root filesystem.
pub trait ImageFiles {
    /// The content of the file at an absolute path; `None` when there is none. Links are followed within the root only.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;
}

/// No passwd or group file is larger; one that is would only cost memory.
const LIMIT: u64 = 1 << 20;

/// The files below a directory or a detached mount.
#[derive(Debug, Clone, Copy)]
pub struct RootfsFiles<'a>(pub BorrowedFd<'a>);

impl ImageFiles for RootfsFiles<'_> {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        // O_PATH first: opening a fifo would wait, and opening a device may act (a watchdog reboots the host).
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let path = path.trim_start_matches('/');
        let handle = loop {
            match openat2(self.0, path, flags, Mode::empty(), resolve) {
                // A rename raced with the walk.
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
                opened => break opened?,
            }
        };
        if FileType::from_raw_mode(fstat(&handle)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        // The same file: the handle is held, and this link is the kernel's.
        let file = std::fs::File::open(format!("/proc/self/fd/{}", handle.as_raw_fd()))?;
        let mut content = Vec::new();
        file.take(LIMIT + 1).read_to_end(&mut content)?;
        if content.len() as u64 > LIMIT {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
        }
        Ok(Some(content))
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    use super::*;

    fn read(dir: &std::path::Path, path: &str) -> io::Result<Option<Vec<u8>>> {
        let root = std::fs::File::open(dir).unwrap();
        RootfsFiles(root.as_fd()).read(path)
    }

    #[test]
    fn links_stay_within_the_root() {
        let outer = tempfile::tempdir().unwrap();
        std::fs::write(outer.path().join("secret"), "host").unwrap();
        let root = outer.path().join("root");
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(root.join("passwd"), "inside").unwrap();
        symlink("/passwd", root.join("etc/absolute")).unwrap();
        symlink("../../../passwd", root.join("etc/up")).unwrap();
        symlink(outer.path().join("secret"), root.join("etc/out")).unwrap();
        symlink("../../secret", root.join("etc/climb")).unwrap();
        symlink("loop", root.join("etc/loop")).unwrap();
        symlink("/proc/self/root/etc/passwd", root.join("etc/magic")).unwrap();
        assert_eq!(read(&root, "/etc/absolute").unwrap().unwrap(), b"inside");
        assert_eq!(read(&root, "/etc/up").unwrap().unwrap(), b"inside");
        for gone in
            ["/etc/out", "/etc/climb", "/etc/magic", "/etc/passwd", "/none/passwd", "/passwd/x", "/../secret"]
        {
            assert_eq!(read(&root, gone).unwrap(), None, "{gone}");
        }
        assert!(read(&root, "/etc/loop").is_err());
    }

    #[test]
    fn only_small_regular_files_are_read() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join("fifo"),
            FileType::Fifo,
            Mode::from_raw_mode(0o644),
            0,
        )
        .unwrap();
        std::fs::create_dir(root.join("dir")).unwrap();
        std::fs::File::create(root.join("bomb")).unwrap().set_len(10 << 30).unwrap();
        std::fs::write(root.join("most"), vec![b'x'; LIMIT as usize]).unwrap();
        for bad in ["/fifo", "/dir"] {
            assert_eq!(read(root, bad).unwrap_err().to_string(), "not a regular file", "{bad}");
        }
        assert_eq!(read(root, "/bomb").unwrap_err().to_string(), "larger than 1 MiB");
        assert_eq!(read(root, "/most").unwrap().unwrap().len(), LIMIT as usize);
        let device = rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join("device"),
            FileType::CharacterDevice,
            Mode::from_raw_mode(0o644),
            rustix::fs::makedev(1, 5),
        );
        match device {
            Ok(()) => assert_eq!(read(root, "/device").unwrap_err().to_string(), "not a regular file"),
            Err(error) => println!("skipped: device nodes cannot be made here: {error}"),
        }
    }
}
