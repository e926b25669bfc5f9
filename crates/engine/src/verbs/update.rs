//! `update`: limits and the restart policy, of containers that run and of those that do not.

use std::time::Instant;

use conex_oci::ContainerId;

use super::start::{PATIENCE, PAUSE};
use crate::options::UpdateOptions;
use crate::supervise::update::{apply, plan};
use crate::supervise::wire::Request;
use crate::{Engine, Error, Result};

impl Engine {
    /// Changes limits and the restart policy of a container, at once if it runs, and for its next start. Gives the warnings to
    /// print. All of it or nothing: after an error everything is as it was.
    ///
    /// # Errors
    /// What Docker refuses, and limits that the kernel refuses: less memory than is in use, a controller that is not there.
    pub fn update(&self, id: &ContainerId, change: &UpdateOptions) -> Result<Vec<String>> {
        let warnings = self.change(id, change)?;
        self.container_event(id, "update");
        Ok(warnings)
    }

    fn change(&self, id: &ContainerId, change: &UpdateOptions) -> Result<Vec<String>> {
        let store = &self.parts.store;
        let until = Instant::now() + PATIENCE;
        loop {
            let record = store.must_record(id)?;
            let (_, warnings) = plan(&record, change)?;
            match store.state(id)? {
                None => return Err(Error::NoSuchContainer { name: record.name.to_string() }),
                Some(state) if state.is_live() => {
                    if self.ask(id, &Request::Update(Box::new(change.clone())))?.is_some() {
                        return Ok(warnings);
                    }
                }
                // Nobody starts it while it is ours.
                Some(_) => {
                    if let Some(owned) = store.visit_settled(id)? {
                        let changed = apply(&self.parts, id, None, change);
                        owned.finish()?;
                        return changed.map(|_| warnings);
                    }
                }
            }
            if Instant::now() > until {
                return Err(Error::Busy { name: record.name.to_string() });
            }
            std::thread::sleep(PAUSE);
        }
    }
}
