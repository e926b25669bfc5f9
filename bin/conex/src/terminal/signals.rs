//! Which signals an attached client takes from its signalfd.

use conex_sys::signal::SignalFd;
use rustix::process::Signal;

use super::RelayError;

/// The signals of a client, taken before the container starts: one that comes between its first word and our first
/// poll must not end the client alone. The supervisor and the container start with a clean mask all the same.
#[derive(Debug)]
pub(crate) struct Signals(pub(super) Option<SignalFd>);

impl Signals {
    /// Takes them: with a terminal that is typed at, those that would leave it raw; without one, those that are passed
    /// on, if they are; and with a terminal inside its changes of size.
    ///
    /// # Errors
    /// When there are no more descriptors.
    pub(crate) fn take(typed_at: bool, passed_on: bool, tty: bool) -> Result<Self, RelayError> {
        let signals = match (typed_at, passed_on, tty) {
            (true, _, _) => TERMINAL,
            (false, true, _) => PROXIED,
            (false, false, true) => SIZE,
            (false, false, false) => return Ok(Self(None)),
        };
        SignalFd::new(signals).map(|fd| Self(Some(fd))).map_err(RelayError::Poll)
    }
}

/// A terminal inside follows the size of the one that is only looked at.
const SIZE: &[i32] = &[Signal::WINCH.as_raw()];

/// With a terminal: its size, a continue after a stop, and what would end this process with the terminal still raw.
pub(crate) const TERMINAL: &[i32] = &[
    Signal::WINCH.as_raw(),
    Signal::CONT.as_raw(),
    Signal::INT.as_raw(),
    Signal::QUIT.as_raw(),
    Signal::TERM.as_raw(),
    Signal::HUP.as_raw(),
];

/// Without one, by `--sig-proxy`: passed on to the container. Stops (Ctrl-Z) are this process's own, and so are
/// signals that speak of itself (SIGCHLD, SIGPIPE, SIGSEGV…).
const PROXIED: &[i32] = &[
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
