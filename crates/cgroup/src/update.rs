//! Changes limits of a container that runs: all of them, or none.

use conex_oci::runtime::Resources;
use rustix::io::Errno;

use crate::cgroup::Cgroup;
use crate::controllers::{self, Controller};
use crate::create::{Needs, hand_down};
use crate::devices;
use crate::error::{Error, Result};
use crate::group::Group;
use crate::systemd;

impl Cgroup {
    /// Changes the limits that `resources` names; the others stay. Processes move into groups that a new limit needs.
    ///
    /// # Errors
    /// As for [`Cgroup::create`]; the limits are then as they were. [`Error::Open`] when there are no groups.
    pub fn update(&mut self, resources: &Resources) -> Result<()> {
        if !self.exists() {
            return Err(self.gone());
        }
        let needs = Needs::of(&self.host, resources)?;
        let scope = self.path.scope.clone();
        let completed = scope.as_ref().map(|_| self.completed(resources)).transpose()?;
        let resources = completed.as_ref().unwrap_or(resources);
        if let (Some(unified), Some(group)) = (&self.host.unified, &self.unified) {
            hand_down(unified, group, &needs.v2)?;
        }
        let before = self.v1.len();
        for controller in needs.v1 {
            self.make_v1(controller)?;
        }
        self.all().for_each(Group::start_journal);
        let changed = self
            .change(resources, before)
            .and_then(|()| scope.map_or(Ok(()), |scope| scope.update(resources)));
        for group in self.all() {
            let journal = group.end_journal();
            if changed.is_err() {
                group.roll_back(journal);
            }
        }
        changed
    }

    fn change(&mut self, resources: &Resources, before: usize) -> Result<()> {
        self.write(resources)?;
        for group in &self.v1[before..] {
            self.move_all(group)?;
        }
        self.update_devices(resources)
    }

    /// systemd takes some limits only together: what is not given is filled in from what is in force.
    fn completed(&self, resources: &Resources) -> Result<Resources> {
        let mut resources = resources.clone();
        if let (Some(memory), Some(group)) = (&mut resources.memory, self.group_of(Controller::Memory)) {
            controllers::complete_memory(group, memory)?;
        }
        if let (Some(cpu), Some(group)) = (&mut resources.cpu, self.group_of(Controller::Cpu)) {
            controllers::complete_cpu(group, cpu)?;
        }
        Ok(systemd::rounded(&resources))
    }

    fn update_devices(&mut self, resources: &Resources) -> Result<()> {
        if resources.devices.is_empty() {
            return Ok(());
        }
        match (&self.unified, self.v1_of(Controller::Devices)) {
            (_, Some(group)) => self.update_devices_v1(group, resources),
            (Some(group), None) if !devices::is_needed(&resources.devices)? => devices::detach(group),
            (Some(group), None) => match devices::replace(group, &resources.devices) {
                Err(error) if devices::is_unsupported(&error) => self.filter_devices(resources),
                result => result,
            },
            (None, None) => self.filter_devices(resources),
        }
    }

    /// v1 knows no other way than from "deny all" up: nobody in the group may notice.
    fn update_devices_v1(&self, group: &Group, resources: &Resources) -> Result<()> {
        let is_frozen_already = self.is_frozen()?;
        if !is_frozen_already {
            self.freeze()?;
        }
        let changed = devices::apply_v1(group, &resources.devices);
        if is_frozen_already { changed } else { changed.and(self.thaw()) }
    }

    /// Moves every process into a new v1 group, until no new one has appeared outside it.
    fn move_all(&self, group: &Group) -> Result<()> {
        for _ in 0..1000 {
            let mut moved = 0;
            let text = group.read("cgroup.procs")?;
            let mut inside: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
            inside.sort_unstable();
            for pid in self.procs()?.into_iter().filter(|pid| inside.binary_search(pid).is_err()) {
                match group.enter(pid) {
                    Ok(()) => moved += 1,
                    Err(Errno::SRCH) => {}
                    Err(source) => {
                        return Err(Error::Write {
                            value: pid.to_string(),
                            path: group.path().join("cgroup.procs"),
                            source,
                        });
                    }
                }
            }
            if moved == 0 {
                return Ok(());
            }
        }
        Err(Error::Move { path: group.path().to_owned() })
    }
}
