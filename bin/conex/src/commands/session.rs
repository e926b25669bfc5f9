//! A client attached to a container, from the checks before to the exit code after.

use conex_engine::{AttachOptions, Attachment, Engine};
use conex_oci::ContainerId;

use crate::cli::{Context, Given};
use crate::errors::Error;
use crate::terminal::{self, DetachKeys, Ended, Relay, Signals};

/// How a client wants to be attached.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// The container has a terminal.
    pub(super) tty: bool,
    /// Standard input goes to it.
    pub(super) stdin: bool,
    /// Standard output comes back (a terminal's too).
    pub(super) stdout: bool,
    /// Standard error comes back.
    pub(super) stderr: bool,
    /// What to type to leave.
    pub(super) keys: DetachKeys,
    /// `--sig-proxy`
    pub(super) proxy: bool,
}

/// How it ended, for verbs that tell the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With this exit code.
    Code(u8),
    /// By the detach keys.
    Detached,
}

impl Session {
    /// With all that the container has, signals passed on.
    pub(super) fn new(context: &Context, given: &Given<'_>, tty: bool, stdin: bool) -> Result<Self, Error> {
        let keys = match given.parsed("detach-keys", str::parse)? {
            Some(keys) => keys,
            None => context.config()?.terminal.detach_keys.clone().unwrap_or_default(),
        };
        Ok(Self { tty, stdin, stdout: true, stderr: true, keys, proxy: true })
    }

    /// As `--sig-proxy` says.
    pub(super) fn proxied(self, given: &Given<'_>) -> Self {
        Self { proxy: given.switch("sig-proxy").unwrap_or(true), ..self }
    }

    /// A terminal inside needs one outside, when it is typed at.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.tty && self.stdin && !terminal::input_is_terminal() {
            return Err(Error::NotATerminal);
        }
        Ok(())
    }

    /// What the engine is asked for.
    pub(super) fn options(&self) -> AttachOptions {
        AttachOptions {
            stdin: self.stdin,
            stdout: self.stdout,
            stderr: self.stderr,
            size: if self.tty { terminal::size() } else { None },
        }
    }

    /// Takes the signals that concern it: before the container is started or attached to.
    pub(super) fn listen(&self) -> Result<Signals, Error> {
        Ok(Signals::take(self.tty && self.stdin, self.proxy, self.tty)?)
    }

    /// Relays until it ends. `signal` sends one to the process; `status` finds an exit status that did not arrive.
    pub(super) fn relay(
        self,
        attachment: Attachment,
        signals: Signals,
        signal: Option<&mut dyn FnMut(i32)>,
        status: impl FnOnce() -> Result<i32, Error>,
    ) -> Result<Outcome, Error> {
        let terminal = (self.tty && self.stdin).then_some(self.keys);
        let relay = Relay {
            attachment,
            signals,
            stdin: self.stdin,
            follow_size: self.tty,
            terminal,
            proxy: if self.proxy { signal } else { None },
        };
        Ok(match relay.run()? {
            Ended::Exited(code) => Outcome::Code(narrow(code)),
            Ended::Detached => Outcome::Detached,
            Ended::Signalled(signal) => Outcome::Code(narrow(128 + signal)),
            Ended::Lost => Outcome::Code(narrow(status()?)),
        })
    }

    /// As [`Session::relay`], for a container's own process.
    pub(super) fn follow(
        self,
        engine: &Engine,
        id: &ContainerId,
        attachment: Attachment,
        signals: Signals,
    ) -> Result<Outcome, Error> {
        let mut signal = |number| {
            if let Err(error) = engine.kill(id, number) {
                log::debug!("signal {number} was not passed on: {error}");
            }
        };
        let outcome = self.relay(attachment, signals, Some(&mut signal), || lost(engine, id))?;
        if outcome == Outcome::Detached {
            engine.container_event(id, "detach");
        }
        Ok(outcome)
    }
}

/// The status of a container whose supervisor was killed; with `--rm` the container may be gone as well.
fn lost(engine: &Engine, id: &ContainerId) -> Result<i32, Error> {
    match engine.wait(id, conex_engine::WaitCondition::NotRunning) {
        Err(conex_engine::Error::NoSuchContainer { .. }) => Ok(137),
        other => Ok(other?),
    }
}

/// An exit status as a process can have it.
fn narrow(status: i32) -> u8 {
    u8::try_from(status & 0xff).unwrap_or(u8::MAX)
}
