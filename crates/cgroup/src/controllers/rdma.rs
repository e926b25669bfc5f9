//! `linux.resources.rdma`: one line a device in `rdma.max`, the same in v1 and v2.

use std::collections::BTreeMap;

use conex_oci::runtime::Rdma;

use crate::error::{Error, Result};
use crate::group::{Group, Limit};

pub(crate) fn apply(group: &Group, devices: &BTreeMap<String, Rdma>) -> Result<()> {
    for (device, limits) in devices {
        if device.is_empty() || device.contains(|c: char| c.is_whitespace() || c == '=') {
            let why = "it is no device's name".to_owned();
            return Err(Error::Value {
                limit: "rdma".to_owned(),
                value: device.chars().take(80).collect(),
                why,
            });
        }
        let name = format!("rdma[{device}]");
        let limit =
            Limit { controller: "rdma", name: &name, hint: "this kernel does not have it; drop the limit" };
        if let Some(line) = line(device, limits) {
            group.set(limit, "rdma.max", &line)?;
        }
    }
    Ok(())
}

fn line(device: &str, limits: &Rdma) -> Option<String> {
    let handles = limits.hca_handles.map(|count| format!(" hca_handle={count}"));
    let objects = limits.hca_objects.map(|count| format!(" hca_object={count}"));
    (handles.is_some() || objects.is_some())
        .then(|| format!("{device}{}{}", handles.unwrap_or_default(), objects.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_what_is_given() {
        assert_eq!(
            line("mlx4_0", &Rdma { hca_handles: Some(3), hca_objects: Some(4) }).as_deref(),
            Some("mlx4_0 hca_handle=3 hca_object=4")
        );
        assert_eq!(
            line("mlx4_0", &Rdma { hca_handles: None, hca_objects: Some(4) }).as_deref(),
            Some("mlx4_0 hca_object=4")
        );
        assert_eq!(line("mlx4_0", &Rdma::default()), None);
    }
}
