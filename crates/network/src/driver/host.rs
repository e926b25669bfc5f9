//! What the host has and must allow.

use std::fs;
use std::io;
use std::path::Path;

use conex_netlink::Route;
use ipnet::IpNet;

use crate::{Error, Result};

/// The subnets that the host has routes to, with a word on each: a new network must not have them.
///
/// # Errors
/// [`Error::Kernel`].
pub fn routes_of_the_host() -> Result<Vec<(IpNet, String)>> {
    let kernel = Error::kernel("host");
    let mut route = Route::open().map_err(&kernel)?;
    let names: Vec<_> =
        route.links().map_err(&kernel)?.into_iter().map(|link| (link.index, link.name)).collect();
    let routes = route.routes().map_err(&kernel)?;
    let taken = routes.into_iter().filter_map(|entry| {
        let (address, prefix) = entry.destination?;
        let subnet = IpNet::new(address, prefix).ok()?;
        let device = names.iter().find(|(index, _)| Some(*index) == entry.index);
        let by = device.map(|(_, name)| format!(" by {name}")).unwrap_or_default();
        // Link-local ones are everywhere.
        let is_local = matches!(subnet, IpNet::V6(v6) if v6.network().segments()[0] & 0xffc0 == 0xfe80);
        (!is_local).then(|| (subnet, format!("the host's route to {subnet}{by}")))
    });
    Ok(taken.collect())
}

/// Writes a setting below /proc/sys unless it has the value already: most hosts have, and some may not.
pub(crate) fn set(path: &str, value: &str) -> Result<()> {
    let path = Path::new("/proc/sys").join(path);
    match fs::read_to_string(&path) {
        Ok(now) if now.trim() == value => return Ok(()),
        // No IPv6 in this kernel, say: then nothing is lost.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        _ => {}
    }
    fs::write(&path, value).map_err(Error::file("set", &path))
}
