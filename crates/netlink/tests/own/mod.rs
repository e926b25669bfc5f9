//! A network namespace for each test, and the standard tools in it.
#![allow(dead_code, reason = "each test program uses a part")]

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Command;

/// Puts the test's thread into a network namespace of its own, which goes with it; false, having said so, where that cannot be.
pub(crate) fn enter() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> = std::env::split_paths(&path).collect();
    for tool in ["ip", "nft"] {
        if !directories.iter().any(|directory| directory.join(tool).exists()) {
            println!("skipped: {tool} is not installed");
            return false;
        }
    }
    match conex_sys::namespace::unshare(conex_sys::namespace::NETWORK) {
        Ok(()) => {
            sh("ip link set lo up");
            true
        }
        Err(error) => {
            println!("skipped: no network namespace: {error}");
            false
        }
    }
}

/// Another namespace.
pub(crate) struct Other(File);

impl Other {
    pub(crate) fn new() -> Self {
        // The thread ends, the namespace stays open.
        let thread = std::thread::spawn(|| {
            conex_sys::namespace::unshare(conex_sys::namespace::NETWORK).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        Self(thread.join().unwrap())
    }
}

impl AsFd for Other {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Standard output of a shell's command that succeeds, in this thread's namespace.
#[track_caller]
pub(crate) fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
pub(crate) fn json(script: &str) -> serde_json::Value {
    serde_json::from_str(&sh(script)).unwrap()
}

/// A device's name as it is in keys.
pub(crate) fn name(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes
}
