//! `linux.resources.pids`: one file, the same in v1 and v2.

use conex_oci::runtime::Pids;

use crate::error::Result;
use crate::group::{Group, Limit};

pub(crate) fn needed(pids: &Pids) -> Option<&'static str> {
    (pids.limit > 0).then_some("pids.limit")
}

pub(crate) fn apply(group: &Group, pids: &Pids) -> Result<()> {
    let limit = Limit {
        controller: "pids",
        name: "pids.limit",
        hint: "this kernel does not have it; drop the limit",
    };
    let value = if pids.limit > 0 { pids.limit.to_string() } else { "max".to_owned() };
    group.set(limit, "pids.max", &value)
}
