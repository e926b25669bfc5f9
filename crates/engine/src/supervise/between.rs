//! Between two runs: the wait that the restart policy wants, with the requests that come meanwhile, and the next start.

use std::time::{Duration, Instant};

use super::client::{Client, Role};
use super::container::{Life, refusal};
use super::launch::Launched;
use super::streams::{Happening, Watched};
use super::wire::{After, Reply, Request};
use crate::Error;
use crate::store::{Exit, LastRun, Live};

/// How the wait for the next start went.
pub(super) enum Next {
    Runs(Box<Launched>),
    Failed(Error),
    /// Somebody stopped it in between.
    Stopped {
        by_hand: bool,
    },
}

impl Life<'_> {
    /// Waits for the next start, serving requests, and starts.
    pub(super) fn again(&mut self, exit: &Exit, wait: Duration) -> Next {
        if !self.auto_remove {
            let ended = LastRun::Ended(exit.clone());
            if let Err(error) = self.parts.store.set_last_run(&self.id, &ended) {
                log::warn!("{error}");
            }
        }
        let next = Exit { restarts: self.restarts.count, ..exit.clone() };
        if let Err(error) = self.set_live(&Live::Restarting(next)) {
            log::warn!("{error}");
        }
        self.streams.tell_exit(exit.code);
        // They have had what they came for; what a slow one has not read yet goes out while we wait.
        for client in &mut self.streams.clients {
            client.role = Role::Silent;
            client.first = false;
        }
        self.streams.clients.retain(Client::pending);
        let deadline = Instant::now() + wait;
        while Instant::now() < deadline {
            for happening in self.streams.turn(Watched::default(), Some(deadline)) {
                match happening {
                    Happening::Ended
                    | Happening::Names
                    | Happening::Probe
                    | Happening::Notice
                    | Happening::Resized(..) => {}
                    Happening::Signal(_) => return Next::Stopped { by_hand: false },
                    // The next start takes them from the record.
                    Happening::Asked(client, Request::Update(change)) => {
                        let reply =
                            self.update(None, &change).map_or_else(|error| refusal(&error), |()| Reply::Ok);
                        self.streams.clients[client].reply(&reply);
                    }
                    Happening::Asked(client, request) => {
                        let client = &mut self.streams.clients[client];
                        match request {
                            Request::Signal { then: After::Restart, .. } => {
                                client.reply(&Reply::Ok);
                                return self.next();
                            }
                            Request::Signal {
                                then: then @ (After::Stop | After::Rest | After::Unhealthy),
                                ..
                            } => {
                                client.role = Role::Wait;
                                client.reply(&Reply::Ok);
                                return Next::Stopped { by_hand: then != After::Rest };
                            }
                            Request::Health(_) if self.health.is_none() => {
                                let name = self.id.short().to_owned();
                                client.reply(&refusal(&Error::NoHealthcheck { name }));
                            }
                            Request::Health(status) => {
                                client.role = Role::Health(status);
                                client.reply(&Reply::Ok);
                            }
                            Request::Wait => {
                                client.role = Role::Wait;
                                client.reply(&Reply::Ok);
                            }
                            // The next start tells them.
                            Request::Names => client.reply(&Reply::Ok),
                            // For a process that is not there.
                            Request::Signal { then: After::Policy, .. }
                            | Request::Attach { .. }
                            | Request::Pause
                            | Request::Probe
                            | Request::Unpause
                            | Request::Hold
                            | Request::Release
                            | Request::Update(_) => {
                                client
                                    .reply(&refusal(&Error::Restarting { name: self.id.short().to_owned() }));
                            }
                        }
                    }
                }
            }
            self.streams.forget_gone();
        }
        self.next()
    }

    fn next(&mut self) -> Next {
        match self.parts.job(&self.id).and_then(|job| self.start(job)) {
            Ok(launched) => Next::Runs(Box::new(launched)),
            Err(error) => Next::Failed(error),
        }
    }
}
