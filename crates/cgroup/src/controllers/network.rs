//! `linux.resources.network`: v1's net_cls and net_prio, which v2 has no counterpart of.

use conex_oci::runtime::Network;

use crate::error::{Error, Result};
use crate::group::{Group, Limit};

const HINT: &str = "this kernel does not have it; drop the setting";

pub(crate) fn apply_class(group: &Group, network: &Network) -> Result<()> {
    let limit = Limit { controller: "net_cls", name: "network.classID", hint: HINT };
    network.class_id.map_or(Ok(()), |class| group.set(limit, "net_cls.classid", &class.to_string()))
}

pub(crate) fn apply_priorities(group: &Group, network: &Network) -> Result<()> {
    let limit = Limit { controller: "net_prio", name: "network.priorities", hint: HINT };
    for interface in &network.priorities {
        // IFNAMSIZ; a blank would begin the next field.
        if interface.name.is_empty()
            || interface.name.len() > 15
            || interface.name.contains(char::is_whitespace)
        {
            let (limit, value) = (limit.name.to_owned(), interface.name.chars().take(80).collect());
            return Err(Error::Value { limit, value, why: "it is no interface's name".to_owned() });
        }
        group.set(limit, "net_prio.ifpriomap", &format!("{} {}", interface.name, interface.priority))?;
    }
    Ok(())
}
