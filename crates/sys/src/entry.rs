//! The way into a program that starts often: from the C library straight to its function.
//!
//! Rust's own start-up finds out about the stack's guard page by reading /proc/self/maps, prepares an alternative stack for the
//! message about an overflow, and brings a part of the C library along. A program without threads that lives for milliseconds
//! needs none of it. What a program relies on without knowing is done here as there: see [`prepare`].

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Makes `$run`, a `fn() -> i32`, the program: what it returns is the exit status. The crate is `#![no_main]`.
#[macro_export]
macro_rules! entry {
    ($run:path) => {
        #[allow(unsafe_code, reason = "the C library looks for this name")]
        mod entry {
            // SAFETY: no other function of this program has this name: its crate has no Rust `main`.
            #[unsafe(no_mangle)]
            extern "C" fn main(_argc: i32, _argv: *const *const u8) -> i32 {
                $crate::entry::prepare();
                // And not a return: this writes out what standard output still buffers.
                ::std::process::exit($run())
            }
        }
    };
}

/// Descriptors 0 to 2 are open, so that no file opened later becomes the standard output of anybody; a write to a pipe that
/// nobody reads is an error and no death.
pub fn prepare() {
    for fd in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        if rustix::io::fcntl_getfd(fd) == Err(Errno::BADF) {
            // The lowest free number, which is this one.
            match rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty()) {
                Ok(file) => std::mem::forget(file),
                Err(_) => crate::process::exit_now(125),
            }
        }
    }
    crate::signal::ignore(libc::SIGPIPE);
}
