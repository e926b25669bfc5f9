//! Makes the groups that a set of limits needs and puts the limits in force.
//! A failure on the way removes what was made; a crash leaves groups that [`Cgroup::open`] and `delete` clear.

use std::collections::BTreeSet;

use conex_oci::runtime::{DeviceRule, Resources};
use rustix::io::Errno;

use crate::cgroup::Cgroup;
use crate::controllers::{self, Controller};
use crate::devices;
use crate::error::{Error, Result};
use crate::group::Group;
use crate::host::{Hierarchy, Host, is_root};
use crate::path::CgroupPath;
use crate::systemd::{self, Properties, Scope, StandIn};

const OFFERED: &str = "cgroup.controllers";
const SUBTREE: &str = "cgroup.subtree_control";
const PROCESSES_INSIDE: &str = "a v2 group hands controllers down only while no process is in it itself: move them into a group below, or choose another --cgroup-parent";

const NOT_DELEGATED: &str = "an ordinary user has only the controllers that were delegated to him: see Delegate= in user@.service, or drop the limit";

impl Cgroup {
    /// Makes the groups that `resources` needs and puts every limit in force, before any process is in them.
    ///
    /// # Errors
    /// A limit that this host cannot enforce names its controller; whatever was made is removed again.
    pub fn create(host: &Host, path: &CgroupPath, resources: &Resources) -> Result<Self> {
        Self::create_with(host, path, resources, &Properties::default())
    }

    /// The same, with properties for a scope of systemd's; the caller has one thread then, as for clone3.
    ///
    /// # Errors
    /// As for [`Cgroup::create`]; [`Error::Bus`] and [`Error::Unit`] from systemd.
    pub fn create_with(
        host: &Host,
        path: &CgroupPath,
        resources: &Resources,
        properties: &Properties,
    ) -> Result<Self> {
        let needs = Needs::of(host, resources)?;
        let mut making = Making::of(Self::new(host, path));
        if let Some(cgroup) = making.cgroup() {
            match path.scope.clone() {
                Some(scope) => cgroup.fill_scope(&scope, needs, &systemd::rounded(resources), properties)?,
                None => cgroup.fill(needs, resources)?,
            }
        }
        making.finish()
    }

    /// Lets systemd make the group, and puts into force what systemd does not know of.
    fn fill_scope(
        &mut self,
        scope: &Scope,
        needs: Needs,
        resources: &Resources,
        own: &Properties,
    ) -> Result<()> {
        let stand_in = StandIn::new()?;
        scope.start(self.path.slice(), &stand_in, resources, own)?;
        self.path = path_of(stand_in.pid())?.in_scope(scope.clone());
        *self.stand_in() = Some(stand_in);
        if let Some(unified) = self.host.unified.clone() {
            let group = Group::open(&unified, &self.path)?.ok_or_else(|| self.gone())?;
            hand_down(&unified, &group, &needs.v2)?;
            self.unified = Some(group);
        }
        for controller in needs.v1 {
            self.make_v1(controller)?;
        }
        self.hold_systemds_own()?;
        self.write(resources)?;
        self.filter_devices(resources)
    }

    fn fill(&mut self, needs: Needs, resources: &Resources) -> Result<()> {
        self.make(needs)?;
        self.write(resources)?;
        self.filter_devices(resources)
    }

    /// The groups, without limits.
    pub(crate) fn make(&mut self, needs: Needs) -> Result<()> {
        if let Some(unified) = self.host.unified.clone() {
            let group = self.unified.insert(Group::make(&unified, &self.path)?);
            hand_down(&unified, group, &needs.v2)?;
        }
        needs.v1.into_iter().try_for_each(|controller| self.make_v1(controller))
    }

    /// Makes the v1 group of a controller, unless a sibling in the same hierarchy did.
    pub(crate) fn make_v1(&mut self, controller: Controller) -> Result<()> {
        let Some(hierarchy) = self.host.v1_of(controller.v1()).cloned() else { return Ok(()) };
        if self.v1_of(controller).is_some() {
            return Ok(());
        }
        let group = match &self.path.scope {
            // systemd has made it already, or does not know the controller.
            Some(_) => match Group::open(&hierarchy, &self.path)? {
                Some(group) => group,
                None => Group::make(&hierarchy, &self.path)?,
            },
            None => Group::make(&hierarchy, &self.path)?,
        };
        let is_cpuset = group.carries("cpuset");
        self.hold(group)?;
        match self.v1.last() {
            Some(group) if is_cpuset => controllers::seed(&hierarchy, group),
            _ => Ok(()),
        }
    }

    /// Writes every limit to the group of its controller.
    pub(crate) fn write(&self, resources: &Resources) -> Result<()> {
        let mut enabled = None;
        for controller in
            Controller::LIMITS.into_iter().filter(|controller| controller.is_mentioned(resources))
        {
            let Some(group) = self.group_of(controller) else { continue };
            if group.is_v2() {
                // "Unlimited" needs no controller, and is not written where there is none.
                let enabled = match &mut enabled {
                    Some(enabled) => enabled,
                    none => none.insert(group.read(OFFERED)?),
                };
                if !controller.v2().is_some_and(|name| lists(enabled, name)) {
                    continue;
                }
            }
            controller.apply(group, resources)?;
        }
        match &self.unified {
            // Last: what the user wrote himself wins.
            Some(group) => controllers::unified::apply(group, &resources.unified),
            None => Ok(()),
        }
    }

    pub(crate) fn filter_devices(&mut self, resources: &Resources) -> Result<()> {
        if !devices::is_needed(&resources.devices)? {
            return Ok(());
        }
        let attached = match &self.unified {
            Some(group) => self.filter_devices_v2(group, &resources.devices),
            None => return self.filter_devices_v1(resources),
        };
        match attached {
            Err(error) if devices::is_unsupported(&error) && self.host.v1_of("devices").is_some() => {
                log::debug!("{error}; using the devices controller of cgroup v1");
                self.filter_devices_v1(resources)
            }
            result => result,
        }
    }

    pub(crate) fn filter_devices_v2(&self, group: &Group, rules: &[DeviceRule]) -> Result<()> {
        let put = if group.was_there { devices::replace } else { devices::attach };
        match put(group, rules) {
            // Without the right to load filters one has no right to make device nodes either, and opens those that are there by
            // their file modes.
            Err(Error::DeviceFilter { source: Errno::PERM, .. }) if !is_root() => Ok(()),
            attached => attached,
        }
    }

    fn filter_devices_v1(&mut self, resources: &Resources) -> Result<()> {
        self.make_v1(Controller::Devices)?;
        match self.v1_of(Controller::Devices) {
            Some(group) => devices::apply_v1(group, &resources.devices),
            None => Err(no_controller(Controller::Devices.v1(), "devices", Controller::Devices.hint())),
        }
    }
}

/// Removes what was made, unless it is finished.
pub(crate) struct Making {
    cgroup: Option<Cgroup>,
}

impl Making {
    pub(crate) fn of(cgroup: Cgroup) -> Self {
        Self { cgroup: Some(cgroup) }
    }

    pub(crate) fn cgroup(&mut self) -> Option<&mut Cgroup> {
        self.cgroup.as_mut()
    }

    pub(crate) fn finish(mut self) -> Result<Cgroup> {
        // Taken out, so that the drop finds nothing.
        self.cgroup.take().ok_or(Error::NotMounted)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if let Some(cgroup) = &self.cgroup
            && let Err(error) = cgroup.undo()
        {
            log::warn!("{error}");
        }
    }
}

/// What a set of limits needs of a host.
pub(crate) struct Needs {
    /// By their names in v2.
    pub(crate) v2: BTreeSet<String>,
    pub(crate) v1: Vec<Controller>,
}

impl Needs {
    /// Whether a limit needs a controller.
    pub(crate) fn any(&self) -> bool {
        !self.v2.is_empty() || self.v1.iter().any(|controller| *controller != Controller::Freezer)
    }

    pub(crate) fn of(host: &Host, resources: &Resources) -> Result<Self> {
        let mut needs = Self { v2: BTreeSet::new(), v1: Vec::new() };
        if host.unified.is_none() {
            needs.v1.push(Controller::Freezer);
        }
        for controller in Controller::LIMITS {
            let Some(limit) = controller.needed(resources) else { continue };
            let offered =
                controller.v2().filter(|name| host.v2_controllers().iter().any(|offered| offered == name));
            if host.v1_of(controller.v1()).is_some() {
                needs.v1.push(controller);
            } else if let Some(name) = offered {
                needs.v2.insert(name.to_owned());
            } else {
                let name = if host.v1.is_empty() {
                    controller.v2().unwrap_or(controller.v1())
                } else {
                    controller.v1()
                };
                return Err(no_controller(name, limit, controller.hint()));
            }
        }
        for (controller, file) in controllers::unified::needed(&resources.unified)? {
            let hint = "files of 'unified' need a controller on cgroup v2; drop them, or use the typed limit";
            if !host.v2_controllers().iter().any(|offered| offered == controller) {
                return Err(no_controller(controller, &format!("unified[{file}]"), hint));
            }
            needs.v2.insert(controller.to_owned());
        }
        if let (None, Some(file)) = (&host.unified, resources.unified.keys().next()) {
            return Err(no_controller(
                "v2",
                &format!("unified[{file}]"),
                "this is a cgroup v1 host; use the typed limit",
            ));
        }
        Ok(needs)
    }
}

/// Where a process is: in the v2 tree, else in systemd's own.
fn path_of(pid: u32) -> Result<CgroupPath> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))
        .map_err(|source| Error::Detect { path: "/proc/PID/cgroup", source })?;
    let line = |prefix: &str| text.lines().find_map(|line| line.split_once(prefix)).map(|(_, path)| path);
    CgroupPath::new(line("::").or_else(|| line(":name=systemd:")).unwrap_or_default())
}

fn no_controller(controller: &str, limit: &str, hint: &'static str) -> Error {
    Error::NoController { controller: controller.to_owned(), limit: limit.to_owned(), hint }
}

/// Whether a file with controllers names this one.
fn lists(file: &str, name: &str) -> bool {
    file.split_ascii_whitespace().any(|listed| listed == name)
}

/// Enables controllers from the v2 root down to the group, where they are not yet.
pub(crate) fn hand_down(hierarchy: &Hierarchy, group: &Group, wanted: &BTreeSet<String>) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let offered = group.read(OFFERED)?;
    if wanted.iter().all(|name| lists(&offered, name)) {
        return Ok(());
    }
    for above in group.above(hierarchy)? {
        let text = above.read(SUBTREE)?;
        let missing: Vec<String> =
            wanted.iter().filter(|name| !lists(&text, name)).map(|name| format!("+{name}")).collect();
        if missing.is_empty() {
            continue;
        }
        above.write_raw(SUBTREE, &missing.join(" ")).map_err(|source| {
            let hint = match source {
                Errno::BUSY => PROCESSES_INSIDE,
                Errno::ACCESS | Errno::PERM => NOT_DELEGATED,
                _ => "see cgroup.controllers in the same directory for what is offered",
            };
            Error::Enable {
                controllers: wanted.iter().cloned().collect::<Vec<_>>().join(", "),
                path: above.path().join(SUBTREE),
                source,
                hint,
            }
        })?;
    }
    Ok(())
}
