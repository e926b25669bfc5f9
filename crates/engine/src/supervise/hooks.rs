//! The hooks of a container that has some, as `conex-runtime` runs them: each at its point, with the container's state to read.

use conex_oci::runtime::{Hooks, Spec, Status};
use conex_runtime::hooks::{self, HookKind};

use crate::devices;
use crate::engine::Parts;
use crate::store::Record;

type Done = Result<(), conex_runtime::Error>;

/// What there is to run, and on what.
pub(super) struct Run<'a> {
    parts: &'a Parts,
    record: &'a Record,
    spec: &'a Spec,
    wanted: &'a Hooks,
}

impl<'a> Run<'a> {
    /// `None` without hooks.
    pub(super) fn of(parts: &'a Parts, record: &'a Record, spec: &'a Spec) -> Option<Self> {
        spec.hooks.as_ref().map(|wanted| Self { parts, record, spec, wanted })
    }

    fn state(&self, status: Status, pid: u32) -> Vec<u8> {
        devices::state(&self.parts.store, &self.record.id, self.spec, status, pid)
    }

    pub(super) fn is_outside(&self) -> bool {
        !self.wanted.prestart.is_empty() || !self.wanted.create_runtime.is_empty()
    }

    pub(super) fn is_before_pivot(&self) -> bool {
        !self.wanted.create_container.is_empty()
    }

    pub(super) fn is_before_program(&self) -> bool {
        !self.wanted.start_container.is_empty()
    }

    /// By us, before the pivot.
    pub(super) fn outside(&self, pid: u32) -> Done {
        let state = self.state(Status::Creating, pid);
        hooks::run(HookKind::Prestart, &self.wanted.prestart, &state)?;
        hooks::run(HookKind::CreateRuntime, &self.wanted.create_runtime, &state)
    }

    /// By the container's process, which knows itself by its number in there.
    pub(super) fn before_pivot(&self) -> Done {
        let state = self.state(Status::Creating, std::process::id());
        hooks::run(HookKind::CreateContainer, &self.wanted.create_container, &state)
    }

    /// By the container's process, in the container.
    pub(super) fn before_program(&self) -> Done {
        let state = self.state(Status::Created, std::process::id());
        // As runc: one that names no environment has the program's.
        let mut list = self.wanted.start_container.clone();
        for hook in list.iter_mut().filter(|hook| hook.env.is_empty()) {
            hook.env = self.spec.process.as_ref().map(|process| process.env.clone()).unwrap_or_default();
        }
        hooks::run(HookKind::StartContainer, &list, &state)
    }

    /// By us, when the program runs. One that fails ends the container.
    pub(super) fn poststart(&self, pid: u32) -> Done {
        if self.wanted.poststart.is_empty() {
            return Ok(());
        }
        hooks::run(HookKind::Poststart, &self.wanted.poststart, &self.state(Status::Running, pid))
    }
}
