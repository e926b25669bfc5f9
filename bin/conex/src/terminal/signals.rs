//! Which signals an attached client takes from its signalfd.

use rustix::process::Signal;

/// With a terminal: its size, a continue after a stop, and what would end this process with the terminal still raw.
pub(super) const TERMINAL: &[i32] = &[
    Signal::WINCH.as_raw(),
    Signal::CONT.as_raw(),
    Signal::INT.as_raw(),
    Signal::QUIT.as_raw(),
    Signal::TERM.as_raw(),
    Signal::HUP.as_raw(),
];

/// Without one, by `--sig-proxy`: passed on to the container. Stops (Ctrl-Z) are this process's own, and so are
/// signals that speak of itself (SIGCHLD, SIGPIPE, SIGSEGV…).
pub(super) const PROXIED: &[i32] = &[
    // Not passed on: the container's terminal is given the size, and its process gets the signal from the kernel.
    Signal::WINCH.as_raw(),
    Signal::INT.as_raw(),
    Signal::TERM.as_raw(),
    Signal::HUP.as_raw(),
    Signal::QUIT.as_raw(),
    Signal::USR1.as_raw(),
    Signal::USR2.as_raw(),
    Signal::ALARM.as_raw(),
    Signal::VTALARM.as_raw(),
    Signal::PROF.as_raw(),
    Signal::IO.as_raw(),
    Signal::POWER.as_raw(),
];

/// Those that a person sends to be rid of something; the third in a row ends the client itself.
pub(super) fn is_request_to_end(signal: i32) -> bool {
    [Signal::INT, Signal::TERM].iter().any(|known| known.as_raw() == signal)
}
