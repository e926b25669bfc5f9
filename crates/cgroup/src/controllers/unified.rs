//! `linux.resources.unified`: files of the v2 group by name, written as they are.
//! A name is one component, and of the `cgroup.*` files only limits may be set: not `cgroup.procs` and the like.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::group::{Group, Limit};

const PARTITION: &str = "cpuset.cpus.partition";
const CORE: [&str; 3] = ["cgroup.max.depth", "cgroup.max.descendants", "cgroup.pressure"];

/// The controllers that the files belong to, each with the first of them; refuses names that are no limit.
pub(crate) fn needed(files: &BTreeMap<String, String>) -> Result<BTreeMap<&str, &str>> {
    let mut controllers = BTreeMap::new();
    for file in files.keys() {
        let refuse = |why: &str| Error::Value {
            limit: "unified".to_owned(),
            value: file.chars().take(80).collect(),
            why: why.to_owned(),
        };
        match file.split_once('.') {
            _ if file.contains('/') || file.contains('\0') => return Err(refuse("it is not a file's name")),
            Some(("cgroup", _)) if CORE.contains(&file.as_str()) => {}
            Some(("cgroup", _)) => return Err(refuse("it is not a limit")),
            Some((controller, rest)) if !controller.is_empty() && !rest.is_empty() => {
                controllers.entry(controller).or_insert(file.as_str());
            }
            _ => return Err(refuse("a name is CONTROLLER.FILE")),
        }
    }
    Ok(controllers)
}

pub(crate) fn apply(group: &Group, files: &BTreeMap<String, String>) -> Result<()> {
    for (file, value) in files {
        let name = format!("unified[{file}]");
        let controller = file.split_once('.').map_or("", |(controller, _)| controller);
        let limit = Limit { controller, name: &name, hint: "this kernel does not have it; drop the setting" };
        // The kernel takes a line (a device) at a time; an empty value is one as well.
        for line in value.trim_end().split('\n') {
            group.set(limit, file, line)?;
        }
        if file == PARTITION {
            refuse_invalid(group, value)?;
        }
    }
    Ok(())
}

/// The kernel takes any partition's type, and says in the file when it cannot be.
fn refuse_invalid(group: &Group, value: &str) -> Result<()> {
    let now = group.read(PARTITION)?;
    match now.split_once("invalid") {
        Some((_, why)) => Err(Error::Value {
            limit: format!("unified[{PARTITION}]"),
            value: value.chars().take(80).collect(),
            why: format!("the kernel says it is invalid {}", why.trim()).trim_end().to_owned(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_limits_are_taken() {
        let files = |names: &[&str]| {
            names.iter().map(|name| ((*name).to_owned(), String::new())).collect::<BTreeMap<_, _>>()
        };
        let good = files(&["memory.high", "memory.max", "misc.max", "cgroup.max.depth"]);
        assert_eq!(
            needed(&good).expect("valid"),
            BTreeMap::from([("memory", "memory.high"), ("misc", "misc.max")])
        );
        for bad in ["cgroup.procs", "cgroup.kill", "../x.y", "memory", ".max", "memory.", "a/b.c", ""] {
            assert!(needed(&files(&[bad])).is_err(), "{bad:?}");
        }
    }
}
