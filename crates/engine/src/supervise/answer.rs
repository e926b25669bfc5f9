//! What clients and commands ask of a container that runs, and what is done.

use conex_cgroup::Cgroup;
use conex_sys::signal;
use std::os::fd::AsFd;

use super::client::Role;
use super::container::{Life, SIGKILL};
use super::health::Monitor;
use super::launch::Launched;
use super::update;
use super::wire::Request;
use crate::events::Subject;
use crate::network::tell;
use crate::options::UpdateOptions;
use crate::store::Live;
use crate::{Error, Result};

impl Life<'_> {
    pub(super) fn answer(
        &mut self,
        client: usize,
        launched: &mut Launched,
        request: &Request,
        paused: &mut bool,
    ) -> Result<()> {
        let name = || self.id.short().to_owned();
        match *request {
            Request::Update(ref change) => self.update(Some(&mut launched.group), change)?,
            Request::Attach { stdin, stdout, stderr, size } => {
                if *paused {
                    return Err(Error::AttachPaused);
                }
                if let Some((rows, columns)) = size {
                    self.streams.ends.resize(rows, columns);
                }
                self.streams.clients[client].role = Role::Streams { stdin, stdout, stderr };
            }
            Request::Wait => self.streams.clients[client].role = Role::Wait,
            Request::Names => {
                self.subject = Subject::from(&self.parts.store.must_record(&self.id)?);
                tell(&mut launched.names, self.parts, &self.id, launched.process.pid)?;
            }
            Request::Signal { signal, .. } => {
                self.signal(launched, signal, paused)?;
                self.parts.event(&self.subject.event("kill").with("signal", signal));
                self.streams.clients[client].role = Role::Wait;
            }
            Request::Pause if *paused => return Err(Error::AlreadyPaused { name: name() }),
            Request::Hold if *paused => return Err(Error::AlreadyPaused { name: name() }),
            Request::Pause | Request::Hold if !launched.group.exists() => {
                return Err(Error::NoGroup { name: name() });
            }
            Request::Pause | Request::Hold => {
                // A frozen one says nothing, and that would count.
                self.health.iter_mut().for_each(Monitor::suspend);
                launched.group.freeze()?;
                *paused = true;
                if *request == Request::Pause {
                    self.event("pause");
                }
                if *request == Request::Hold {
                    self.held = true;
                    self.streams.clients[client].role = Role::Hold;
                }
                self.set_live(&Live::Paused(launched.process.clone()))?;
            }
            Request::Probe if *paused => return Err(Error::Paused { name: name() }),
            Request::Probe | Request::Health(_) if self.health.is_none() => {
                return Err(Error::NoHealthcheck { name: name() });
            }
            Request::Probe => {
                self.health.iter_mut().for_each(Monitor::hurry);
                self.streams.clients[client].role = Role::Probe;
            }
            Request::Health(status) => self.streams.clients[client].role = Role::Health(status),
            Request::Release if !self.held => {}
            Request::Release => self.thaw(launched, paused)?,
            Request::Unpause if !*paused => return Err(Error::NotPaused { name: name() }),
            Request::Unpause => {
                self.thaw(launched, paused)?;
                self.event("unpause");
            }
        }
        Ok(())
    }

    /// Limits in the group and on record, the policy here as well.
    pub(super) fn update(&mut self, group: Option<&mut Cgroup>, change: &UpdateOptions) -> Result<()> {
        let record = update::apply(self.parts, &self.id, group, change)?;
        self.memory_limit = record.options.limits.memory.is_some();
        self.restarts.policy = record.options.supervision.restart;
        Ok(())
    }

    pub(super) fn thaw(&mut self, launched: &Launched, paused: &mut bool) -> Result<()> {
        self.held = false;
        launched.group.thaw()?;
        *paused = false;
        self.health.iter_mut().for_each(Monitor::resume);
        self.set_live(&Live::Running(launched.process.clone()))
    }

    /// A signal to the first process. One that is meant to end it has to reach it, so a paused container goes on.
    pub(super) fn signal(&mut self, launched: &Launched, signal: i32, paused: &mut bool) -> Result<()> {
        match signal::send(launched.pidfd.as_fd(), signal) {
            // It has ended and will be reaped in a moment.
            Err(error) if error.raw_os_error() == Some(3) => {}
            done => done.map_err(|source| Error::Kill { signal, source })?,
        }
        if *paused && (signal == SIGKILL || signal == self.stop_signal) {
            self.thaw(launched, paused)?;
        }
        Ok(())
    }
}
