//! What a boot starts and a shutdown stops, and in which order.
//!
//! `always` comes back whatever happened, `unless-stopped` unless a person stopped it. A container whose namespaces another one
//! joins is there before it, and goes after it.

use std::collections::{BTreeMap, BTreeSet};

use conex_oci::ContainerId;

use crate::options::RestartPolicy;
use crate::store::record::Summary;
use crate::store::{ContainerState, LastRun, write};
use crate::{Engine, Result};

impl Engine {
    /// Whether a boot starts the container.
    pub(super) fn boots(
        &self,
        id: &ContainerId,
        policy: RestartPolicy,
        state: &ContainerState,
    ) -> Result<bool> {
        if !matches!(policy, RestartPolicy::Always | RestartPolicy::UnlessStopped) {
            return Ok(false);
        }
        Ok(state.is_live()
            || match self.parts.store.last_run(id)? {
                // As with Docker, one that was never started is not meant to run.
                None => false,
                Some(LastRun::Started { .. }) => true,
                Some(LastRun::Ended(exit)) => policy == RestartPolicy::Always || !exit.stopped,
            })
    }

    /// The containers in waves: those of one wave may be started at the same time, when all before it run. To stop them, from
    /// the last wave to the first. Within a wave the order is kept.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn in_waves(&self, ids: &[ContainerId]) -> Result<Vec<Vec<ContainerId>>> {
        let mut joined = BTreeMap::new();
        for id in ids {
            let record = self.parts.store.directory(id).join("config.json");
            let summary = write::read_json::<Summary>(&record)?;
            let others = summary.map(|summary| summary.joined.into_values().collect::<Vec<_>>());
            joined.insert(id.clone(), others.unwrap_or_default());
        }
        Ok(waves(ids, &joined))
    }
}

fn waves(ids: &[ContainerId], joined: &BTreeMap<ContainerId, Vec<ContainerId>>) -> Vec<Vec<ContainerId>> {
    let mut left: Vec<&ContainerId> = ids.iter().collect();
    let mut waves = Vec::new();
    while !left.is_empty() {
        let waiting: BTreeSet<&ContainerId> = left.iter().copied().collect();
        let waits = |id: &&ContainerId| {
            joined.get(id).is_some_and(|others| others.iter().any(|other| waiting.contains(other)))
        };
        let (later, now): (Vec<_>, Vec<_>) = left.iter().partition(|id| waits(id));
        if now.is_empty() {
            // A ring, which no sequence of commands makes.
            waves.push(later.into_iter().cloned().collect());
            return waves;
        }
        waves.push(now.into_iter().cloned().collect());
        left = later;
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_joined_comes_first() {
        let [a, b, c, d] = [1, 2, 3, 4].map(|byte| ContainerId::from_random([byte; 32]));
        let joined = BTreeMap::from([(a.clone(), vec![b.clone()]), (b.clone(), vec![c.clone(), d.clone()])]);
        // d is not among them: it is not waited for.
        let ids = [a.clone(), b.clone(), c.clone()];
        assert_eq!(waves(&ids, &joined), [vec![c.clone()], vec![b.clone()], vec![a.clone()]]);
        let ring = BTreeMap::from([(a.clone(), vec![b.clone()]), (b.clone(), vec![a.clone()])]);
        assert_eq!(waves(&ids, &ring), [vec![c], vec![a, b]]);
    }
}
