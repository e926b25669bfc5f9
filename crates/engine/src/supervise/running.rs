//! A run, from its start until its first process has ended: one turn after another.

use std::os::fd::AsFd;
use std::time::Instant;

use conex_sys::memory;

use super::client::{Client, Role};
use super::container::{Life, SETTLED, SIGKILL, reap, refusal};
use super::health::Monitor;
use super::launch::Launched;
use super::notify::Notices;
use super::streams::{Happening, Watched};
use super::wire::{After, Reply, Request};
use crate::network::Names;
use crate::options::OnUnhealthy;

impl Life<'_> {
    /// Serves until the process has ended; gives its status and what is to follow.
    pub(super) fn run_to_end(&mut self, launched: &mut Launched) -> (i32, After) {
        let (mut paused, mut then, mut kill_at) = (false, After::Policy, None);
        loop {
            let names = launched.names.as_ref();
            let health = self.health.as_ref();
            let due = health.and_then(Monitor::deadline);
            let quiet = self.notices.as_ref().and_then(Notices::deadline);
            let deadlines = [kill_at, self.lean_at, names.and_then(Names::deadline), due, quiet];
            let deadline = deadlines.into_iter().flatten().min();
            let watched = Watched {
                process: Some(launched.pidfd.as_fd()),
                names: names.and_then(Names::watched),
                probe: health.and_then(Monitor::watched),
                notices: self.notices.as_ref().and_then(Notices::watched),
            };
            let happenings = self.streams.turn(watched, deadline);
            if quiet.is_some_and(|at| at <= Instant::now()) {
                self.notices.iter_mut().for_each(Notices::hear);
            }
            if self.lean_at.is_some_and(|at| at <= Instant::now()) {
                self.lean_at = None;
                self.parts.store.journal().rest();
                memory::trim_heap();
                memory::drop_program_pages();
            }
            if kill_at.is_some_and(|at| at <= Instant::now()) {
                kill_at = None;
                let _ = self.signal(launched, SIGKILL, &mut paused);
            }
            let mut code = None;
            for happening in happenings {
                match happening {
                    Happening::Ended => code = reap(&launched.pidfd),
                    Happening::Names => launched.names.iter_mut().for_each(Names::look),
                    Happening::Resized(rows, columns) => {
                        let event = self.subject.event("resize").with("height", rows).with("width", columns);
                        self.parts.event(&event);
                    }
                    Happening::Probe => {}
                    Happening::Notice => self.notices.iter_mut().for_each(Notices::hear),
                    // A service manager's, or the machine goes down: no person's word.
                    Happening::Signal(_) => {
                        then = After::Rest;
                        kill_at = self.end_by(launched, &mut paused);
                    }
                    Happening::Asked(client, request) => {
                        self.lean_at = Some(Instant::now() + SETTLED);
                        let reply = match self.answer(client, launched, &request, &mut paused) {
                            Ok(()) => Reply::Ok,
                            Err(error) => refusal(&error),
                        };
                        if let (Request::Signal { signal, then: wish, kill_after }, Reply::Ok) =
                            (&request, &reply)
                            && *wish != After::Policy
                        {
                            then = *wish;
                            // What may be deaf to it, and is not killed, is looked after further on.
                            if kill_after.is_some() || *signal == SIGKILL {
                                self.health.iter_mut().for_each(Monitor::cease);
                            }
                            kill_at =
                                kill_after.and_then(|after| Instant::now().checked_add(after)).or(kill_at);
                        }
                        self.streams.clients[client].reply(&reply);
                        if let Some(monitor) = &self.health {
                            self.streams.clients[client].health(monitor.health.status);
                        }
                    }
                }
            }
            if code.is_none() && launched.names.as_mut().is_some_and(|names| names.mend(self.parts, &self.id))
            {
                self.lean_at = Some(Instant::now() + SETTLED);
            }
            if code.is_none() {
                match self.look_after(launched) {
                    OnUnhealthy::None => {}
                    // Somebody wants its end.
                    OnUnhealthy::Restart if then != After::Policy => {}
                    OnUnhealthy::Restart => {
                        then = After::Unhealthy;
                        kill_at = self.end_by(launched, &mut paused);
                    }
                    OnUnhealthy::Stop => {
                        self.failed = true;
                        then = After::Rest;
                        kill_at = self.end_by(launched, &mut paused);
                    }
                    OnUnhealthy::Kill => kill_at = Some(Instant::now()),
                }
            }
            self.streams.forget_gone();
            let holds = |client: &Client| client.role == Role::Hold;
            if self.held
                && !self.streams.clients.iter().any(holds)
                && let Err(error) = self.thaw(launched, &mut paused)
            {
                log::warn!("{error}");
            }
            if let Some(code) = code {
                return (code, then);
            }
        }
    }
}
