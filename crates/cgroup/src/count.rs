//! Groups that nothing is limited in, for whoever reads what they count: containerd's shim and Docker's statistics read the
//! files of the groups that a process is in, and would take the figures of the group above for the container's.

use std::collections::BTreeSet;

use crate::cgroup::Cgroup;
use crate::controllers::Controller;
use crate::create::{Making, hand_down};
use crate::error::Result;

/// Controllers that count.
const COUNTING: [Controller; 5] =
    [Controller::Memory, Controller::Cpu, Controller::Accounting, Controller::Pids, Controller::Io];

impl Cgroup {
    /// Makes the groups that `create` has not made and that count something.
    ///
    /// # Errors
    /// As for [`Cgroup::create`], for v1 groups; whatever was made is removed then. A v2 controller that cannot be handed down
    /// is done without.
    pub fn counting(self) -> Result<Self> {
        let mut making = Making::of(self);
        if let Some(cgroup) = making.cgroup() {
            for controller in COUNTING {
                cgroup.make_v1(controller)?;
            }
            if let (Some(unified), Some(group)) = (&cgroup.host.unified, &cgroup.unified) {
                let offered = cgroup.host.v2_controllers();
                let counting = COUNTING.iter().filter_map(|controller| controller.v2());
                let mut wanted = BTreeSet::new();
                wanted.extend(counting.filter(|name| offered.iter().any(|o| o == name)).map(str::to_owned));
                let _ = hand_down(unified, group, &wanted);
            }
        }
        making.finish()
    }
}
