//! The systemd driver: the container's group is a transient scope, made by systemd on our behalf and then ours alone
//! (Delegate=yes), so that whatever else systemd does with the tree does not disturb it, and systemctl shows it.
//!
//! Limits are written twice, as runc and crun do: as properties of the unit, which systemd applies again whenever it likes, and by
//! us to the group's files, which know more of them. Everything after the scope's making is as with the cgroupfs driver.

mod annotations;
mod bus;
#[cfg(test)]
mod bus_tests;
mod name;
mod properties;
mod stand_in;
mod unit;
mod wire;

use std::fmt;

use conex_oci::runtime::Resources;

pub use annotations::Properties;
pub(crate) use bus::Side;
pub(crate) use name::Named;
pub(crate) use properties::rounded;
pub(crate) use stand_in::StandIn;
use unit::Systemd;
use wire::Value;

use crate::error::Result;

/// A scope and whose systemd it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Scope {
    pub(crate) side: Side,
    /// `libpod-0123.scope`
    pub(crate) unit: String,
}

impl Scope {
    /// The keys by which a [`crate::CgroupPath`]'s text holds it.
    pub(crate) const SYSTEM: &str = "scope";
    pub(crate) const USER: &str = "user-scope";

    /// Makes the scope below `slice` with a process in it.
    pub(crate) fn start(
        &self,
        slice: &str,
        stand_in: &StandIn,
        resources: &Resources,
        own: &Properties,
    ) -> Result<()> {
        let mut systemd = Systemd::connect(self.side)?;
        let mut version = Version::default();
        let pids = Value::Array("u".to_owned(), vec![Value::U32(stand_in.pid())]);
        let mut all = vec![
            ("Description".to_owned(), Value::Text(format!("Conex container {}", self.unit))),
            ("Slice".to_owned(), Value::text(slice)),
            ("Delegate".to_owned(), Value::Bool(true)),
            ("PIDs".to_owned(), pids),
            // Not ended before the services that made it are, nor ordered after the basic system.
            ("DefaultDependencies".to_owned(), Value::Bool(false)),
        ];
        for accounting in ["MemoryAccounting", "CPUAccounting", "IOAccounting", "TasksAccounting"] {
            all.push((accounting.to_owned(), Value::Bool(true)));
        }
        all.extend(own.0.iter().cloned());
        all.extend(properties::of_start(resources, &mut || version.of(&mut systemd))?);
        all.extend(properties::of_limits(resources, &mut || version.of(&mut systemd))?);
        systemd.start(&self.unit, all)
    }

    /// Tells systemd of changed limits.
    pub(crate) fn update(&self, resources: &Resources) -> Result<()> {
        let mut systemd = Systemd::connect(self.side)?;
        let mut version = Version::default();
        let changed = properties::of_limits(resources, &mut || version.of(&mut systemd))?;
        if changed.is_empty() { Ok(()) } else { systemd.set(&self.unit, changed) }
    }

    /// Ends it, with whatever is still in it.
    pub(crate) fn stop(&self) -> Result<()> {
        Systemd::connect(self.side)?.stop(&self.unit)
    }

    /// Puts a process into it.
    pub(crate) fn attach(&self, pid: u32) -> Result<()> {
        Systemd::connect(self.side)?.attach(&self.unit, pid)
    }
}

/// Asked for once, and only when a limit depends on it.
#[derive(Default)]
struct Version(Option<u32>);

impl Version {
    fn of(&mut self, systemd: &mut Systemd) -> Result<u32> {
        match self.0 {
            Some(version) => Ok(version),
            None => systemd.version().inspect(|version| self.0 = Some(*version)),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = match self.side {
            Side::System => Self::SYSTEM,
            Side::User => Self::USER,
        };
        write!(f, "{key}={}", self.unit)
    }
}
