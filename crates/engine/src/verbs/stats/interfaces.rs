//! The network devices of a container, from its first process's own view of them (proc_pid_net(5), `dev`).

/// A device's counters since it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// As the container knows it.
    pub name: String,
    /// What came in.
    pub received: Traffic,
    /// What went out.
    pub sent: Traffic,
}

/// One direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets that were damaged.
    pub errors: u64,
    /// Packets that there was no room for.
    pub dropped: u64,
}

/// The most devices that are told of: a container with rights on its network may make any number.
const MOST: usize = 256;

/// None of a process that is gone.
pub(super) fn of(pid: u32) -> Vec<Interface> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default())
}

/// `eth0: bytes packets errs drop fifo frame compressed multicast`, then eight of the other direction.
fn parse(text: &str) -> Vec<Interface> {
    let line = |line: &str| {
        let (name, numbers) = line.rsplit_once(':')?;
        let numbers: Vec<u64> =
            numbers.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
        let traffic = |numbers: &[u64]| match *numbers {
            [bytes, packets, errors, dropped, ..] => Some(Traffic { bytes, packets, errors, dropped }),
            _ => None,
        };
        Some(Interface {
            name: name.trim().to_owned(),
            received: traffic(&numbers)?,
            sent: traffic(numbers.get(8..)?)?,
        })
    };
    text.lines().skip(2).filter_map(line).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table() {
        let text = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n  eth0:    1226      15    1    2    0     0          0         0      866       9    3    4    0     0       0          0\n junk\n";
        let all = parse(text);
        assert_eq!(all.len(), 2);
        assert_eq!(all[1].name, "eth0");
        assert_eq!(all[1].received, Traffic { bytes: 1226, packets: 15, errors: 1, dropped: 2 });
        assert_eq!(all[1].sent, Traffic { bytes: 866, packets: 9, errors: 3, dropped: 4 });
    }
}
