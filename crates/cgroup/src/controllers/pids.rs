//! `linux.resources.pids`: one file, the same in v1 and v2.

use conex_oci::runtime::Pids;

use crate::error::Result;
use crate::group::{Group, Limit};

pub(crate) fn needed(pids: &Pids) -> Option<&'static str> {
    pids.limit.is_some_and(|limit| limit >= 0).then_some("pids.limit")
}

pub(crate) fn apply(group: &Group, pids: &Pids) -> Result<()> {
    let Some(value) = pids.limit else { return Ok(()) };
    let limit = Limit {
        controller: "pids",
        name: "pids.limit",
        hint: "this kernel does not have it; drop the limit",
    };
    // As runc: with 0 the kernel would not let the container's own process be born there, and 1 allows no more after it.
    let value = if value >= 0 { value.max(1).to_string() } else { "max".to_owned() };
    group.set(limit, "pids.max", &value)
}
