//! pasta(1). It sets itself up, forks, and goes on until the file that its namespace was opened by is removed.
//!
//! It gives up its capabilities before it opens the namespace, and may not look into /proc for it then: so the namespace is mounted on
//! a file for that moment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{MARK, PID, Uplink, command, said, wait};
use crate::ports::{Protocol, Published};
use crate::{Error, Result};

pub(super) const NAME: &str = "pasta";
/// Carried to the first name server of the host's, wherever that is.
pub(super) const NAME_SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1));

pub(super) fn start(program: &Path, uplink: &Uplink<'_>) -> Result<()> {
    let mark = uplink.directory.join(MARK);
    std::fs::File::create(&mark).map_err(Error::file("make", &mark))?;
    mount_bind(format!("/proc/self/fd/{}", uplink.namespace.as_raw_fd()), &mark)
        .map_err(|errno| Error::file("mount on", &mark)(errno.into()))?;
    let started = run(program, uplink, &mark);
    let _ = unmount(&mark, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    started
}

fn run(program: &Path, uplink: &Uplink<'_>, mark: &Path) -> Result<()> {
    let failed = |why: String| Error::Carrier { program: NAME, why };
    let mut command = command(program);
    // Nothing of the container's leads to the host's own loopback: not by the gateway's address, not by the container's.
    command.args([
        "--quiet",
        "--config-net",
        "--no-map-gw",
        "--ns-ifname",
        uplink.device,
        "-T",
        "none",
        "-U",
        "none",
    ]);
    command.args(["--dns-forward", &NAME_SERVER.to_string()]);
    for (flag, protocol) in [("-t", Protocol::Tcp), ("-u", Protocol::Udp)] {
        let ports = specs(uplink.ports, protocol);
        for port in &ports {
            command.args([flag, port]);
        }
        if ports.is_empty() {
            command.args([flag, "none"]);
        }
    }
    command.arg("--pid").arg(uplink.directory.join(PID)).arg("--netns").arg(mark);
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let status = wait(|| child.try_wait());
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(failed(said(&mut child))),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(failed(error.to_string()))
        }
    }
}

/// `8080:80`, `192.0.2.1/8080:80`: once for both families of every address.
fn specs(ports: &[Published], protocol: Protocol) -> Vec<String> {
    let mut specs = Vec::new();
    for port in ports.iter().filter(|port| port.protocol == protocol) {
        let other = match port.host {
            IpAddr::V4(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let is_everywhere = port.host.is_unspecified() && ports.contains(&Published { host: other, ..*port });
        let spec = match is_everywhere {
            true => format!("{}:{}", port.host_port, port.container_port),
            false => format!("{}/{}:{}", port.host, port.host_port, port.container_port),
        };
        if !specs.contains(&spec) {
            specs.push(spec);
        }
    }
    specs
}

/// Ends it at once. By its number alone if its words name the container's file: another's process may have got the number since.
pub(super) fn kill(directory: &Path) {
    let file = directory.join(PID);
    let Some(number) = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<i32>().ok())
    else {
        return;
    };
    let Some(pid) = Pid::from_raw(number).filter(|_| number > 1) else { return };
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let words = std::fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
    if words.split(|byte| *byte == 0).any(|word| word == file.as_os_str().as_encoded_bytes()) {
        let _ = pidfd_send_signal(pidfd, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_as_pasta_takes_them() {
        let port = |host: &str, host_port, protocol| Published {
            host: host.parse().unwrap(),
            host_port,
            container_port: 80,
            protocol,
        };
        let ports = [
            port("0.0.0.0", 8080, Protocol::Tcp),
            port("::", 8080, Protocol::Tcp),
            port("0.0.0.0", 81, Protocol::Tcp),
            port("127.0.0.1", 82, Protocol::Tcp),
            port("::1", 83, Protocol::Udp),
        ];
        assert_eq!(specs(&ports, Protocol::Tcp), ["8080:80", "0.0.0.0/81:80", "127.0.0.1/82:80"]);
        assert_eq!(specs(&ports, Protocol::Udp), ["::1/83:80"]);
    }
}
