//! A container with a user namespace of its own writes files that belong to others on the host: the numbers are turned
//! back into those that the container sees, which are those that an image holds.

/// The range of host ids that a container's 0 and up stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdShift {
    /// The host id of the container's 0.
    pub base: u32,
    /// How many.
    pub size: u32,
}

/// What the kernel shows for an id without a mapping (`/proc/sys/kernel/overflowuid`).
const NOBODY: u32 = 65_534;

impl IdShift {
    /// The container's number of a host's.
    pub fn back(self, id: u32) -> u32 {
        match id.checked_sub(self.base) {
            Some(id) if id < self.size => id,
            _ => NOBODY,
        }
    }

    /// The host's number of a container's.
    pub fn forth(self, id: u32) -> u32 {
        self.base + if id < self.size { id } else { NOBODY.min(self.size.saturating_sub(1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_outside_the_range_are_nobodys() {
        let shift = IdShift { base: 100_000, size: 65_536 };
        for (host, container) in [
            (100_000, 0),
            (101_000, 1000),
            (165_535, 65_535),
            (165_536, NOBODY),
            (0, NOBODY),
            (99_999, NOBODY),
        ] {
            assert_eq!(shift.back(host), container, "{host}");
        }
    }
}
