//! The column PORTS: ranges as one text, by the rule of Docker's `DisplayablePorts`. Only what has the same number inside and outside
//! is joined, of one address and protocol; what leads elsewhere comes last, each for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use conex_engine::ContainerSummary;
use conex_engine::network::{PortRange, Protocol, Published};
use conex_engine::options::Exposed;

/// Of one container.
pub(super) fn column(container: &ContainerSummary) -> String {
    joined(&container.ports, &container.exposed)
}

fn joined(published: &[Published], exposed: &[Exposed]) -> String {
    let outside: BTreeSet<_> = published.iter().map(|port| (port.container_port, port.protocol)).collect();
    let ranges =
        exposed.iter().flat_map(|one| (one.ports.first..=one.ports.last).map(|port| (port, one.protocol)));
    let inside: BTreeSet<_> = ranges.filter(|port| !outside.contains(port)).collect();
    let inside = inside.into_iter().map(|(port, protocol)| (port, None, port, protocol));
    let published =
        published.iter().map(|one| (one.container_port, Some(one.host), one.host_port, one.protocol));
    let mut ports: Vec<_> = inside.chain(published).collect();
    // Docker compares addresses as texts.
    ports.sort_by_cached_key(|(port, host, there, protocol)| {
        (*port, host.map(|host| host.to_string()), *there, protocol.to_string())
    });
    let (mut texts, mut elsewhere) = (Vec::new(), Vec::new());
    let mut open: BTreeMap<_, PortRange> = BTreeMap::new();
    let mut order = Vec::new();
    for (port, host, there, protocol) in ports {
        if let Some(host) = host.filter(|_| port != there) {
            let port = Published { host, host_port: there, container_port: port, protocol };
            elsewhere.push(port.to_string());
            continue;
        }
        let key = (host, protocol);
        match open.get_mut(&key) {
            Some(range) if range.last.checked_add(1) == Some(port) => range.last = port,
            Some(range) => {
                texts.push(text(key, std::mem::replace(range, PortRange { first: port, last: port })));
            }
            None => {
                open.insert(key, PortRange { first: port, last: port });
                order.push(key);
            }
        }
    }
    texts.extend(order.into_iter().map(|key| text(key, open[&key])));
    texts.append(&mut elsewhere);
    texts.join(", ")
}

fn text((host, protocol): (Option<IpAddr>, Protocol), range: PortRange) -> String {
    let ports = match range {
        PortRange { first, last } if first == last => first.to_string(),
        PortRange { first, last } => format!("{first}-{last}"),
    };
    match host {
        None => format!("{ports}/{protocol}"),
        Some(IpAddr::V6(host)) => format!("[{host}]:{ports}->{ports}/{protocol}"),
        Some(host) => format!("{host}:{ports}->{ports}/{protocol}"),
    }
}

#[cfg(test)]
mod tests {
    use conex_engine::network::Protocol::{Tcp, Udp};

    use super::*;

    #[test]
    fn ranges() {
        let port = |host: &str, there, port, protocol| Published {
            host: host.parse().unwrap(),
            host_port: there,
            container_port: port,
            protocol,
        };
        let three = |host| (9000..=9002).map(move |one| port(host, one, one, Tcp));
        let exposed = |text: &str| vec![text.parse::<Exposed>().unwrap()];
        let (any, six) = ("0.0.0.0", "::");
        for (published, exposed, shown) in [
            (vec![], vec![], ""),
            (three(any).collect(), vec![], "0.0.0.0:9000-9002->9000-9002/tcp"),
            (
                three(six).chain(three(any)).collect(),
                vec![],
                "0.0.0.0:9000-9002->9000-9002/tcp, [::]:9000-9002->9000-9002/tcp",
            ),
            (vec![port(any, 80, 80, Tcp)], vec![], "0.0.0.0:80->80/tcp"),
            (vec![], exposed("9000-9002"), "9000-9002/tcp"),
            (vec![], exposed("65534-65535/udp"), "65534-65535/udp"),
            // What is published is not told twice, and parts what is exposed.
            (vec![port(any, 81, 81, Tcp)], exposed("80-82"), "80/tcp, 82/tcp, 0.0.0.0:81->81/tcp"),
            (
                vec![port(any, 53, 53, Udp), port(any, 54, 54, Tcp), port(any, 55, 55, Tcp)],
                vec![],
                "0.0.0.0:53->53/udp, 0.0.0.0:54-55->54-55/tcp",
            ),
            // Docker leaves these apart, too.
            (
                vec![port(any, 8000, 9000, Tcp), port(any, 8001, 9001, Tcp), port(any, 9003, 9003, Tcp)],
                vec![],
                "0.0.0.0:9003->9003/tcp, 0.0.0.0:8000->9000/tcp, 0.0.0.0:8001->9001/tcp",
            ),
        ] {
            assert_eq!(joined(&published, &exposed), shown);
        }
    }
}
