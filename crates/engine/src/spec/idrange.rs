//! Ranges of host ids for user namespaces: each container has one of its own, so that root in one is nobody in all others.

use serde::{Deserialize, Serialize};

use super::SpecError;

/// Host ids that container ids 0 and up are mapped to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// The host's id of the container's root.
    pub base: u32,
    /// How many.
    pub size: u32,
}

impl From<IdRange> for conex_image::writable::IdShift {
    fn from(range: IdRange) -> Self {
        Self { base: range.base, size: range.size }
    }
}

/// Ids that a container has: what passwd files, packages and `nobody` (65534) expect.
pub(crate) const SIZE: u32 = 65_536;

/// Where ranges are taken from when the host says nothing: 1879048192 to 2147352575, which nobody else hands out. systemd's list of uid
/// ranges has no user of them, Debian's `SUB_UID_MAX` is 600100000, and from 2^31 up programs take ids for negative numbers.
const DEFAULT_POOL: IdRange = IdRange { base: 0x7000_0000, size: 0x0ffe_0000 };

/// Whose ranges in /etc/subuid and /etc/subgid are ours.
const OWNER: &str = "conex";

/// The ids that containers' ranges are cut from: the line `conex:BASE:SIZE` that /etc/subuid and /etc/subgid both have, or the
/// default pool, which is enough for 4,094 containers, when neither has one.
pub fn id_pool(subuid: &str, subgid: &str) -> Result<IdRange, SpecError> {
    let wrong = |why: &str| SpecError::Unavailable { option: "--userns".to_owned(), why: why.to_owned() };
    let pool = match (line(subuid)?, line(subgid)?) {
        (None, None) => return Ok(DEFAULT_POOL),
        (Some(uids), Some(gids)) if uids == gids => uids,
        _ => return Err(wrong("/etc/subuid and /etc/subgid must have the same line for conex")),
    };
    let end = u64::from(pool.base) + u64::from(pool.size);
    if pool.base == 0 || end > u64::from(u32::MAX) {
        return Err(wrong("the range for conex in /etc/subuid is not within 1 to 4294967294"));
    }
    if pool.size < SIZE {
        return Err(wrong(
            "the range for conex in /etc/subuid is smaller than the 65536 ids of one container",
        ));
    }
    Ok(pool)
}

fn line(text: &str) -> Result<Option<IdRange>, SpecError> {
    let Some(line) = text.lines().find(|line| line.split(':').next() == Some(OWNER)) else {
        return Ok(None);
    };
    let mut numbers = line.split(':').skip(1).map(|field| field.trim().parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(base), Some(size)) => Ok(Some(IdRange { base, size })),
        _ => Err(SpecError::Invalid {
            what: "line of /etc/subuid or /etc/subgid",
            text: line.to_owned(),
            why: "expected conex:BASE:SIZE".to_owned(),
        }),
    }
}

/// The lowest range of the pool that overlaps none of those `taken`. The caller holds a lock from reading `taken` in the
/// containers' records until its own record is written: that is what keeps two containers apart.
pub fn free_range(pool: IdRange, taken: &[IdRange]) -> Result<IdRange, SpecError> {
    let mut taken: Vec<(u64, u64)> = taken
        .iter()
        .map(|range| (u64::from(range.base), u64::from(range.base) + u64::from(range.size)))
        .collect();
    taken.sort_unstable();
    let end = u64::from(pool.base) + u64::from(pool.size);
    let mut base = u64::from(pool.base);
    for (start, stop) in taken {
        if stop <= base {
            continue;
        }
        if base + u64::from(SIZE) <= start {
            break;
        }
        base = stop;
    }
    match u32::try_from(base) {
        Ok(base) if u64::from(base) + u64::from(SIZE) <= end => Ok(IdRange { base, size: SIZE }),
        _ => Err(SpecError::NoIdRange(SIZE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(base: u32) -> IdRange {
        IdRange { base, size: SIZE }
    }

    #[test]
    fn the_lowest_gap_is_taken() {
        let pool = IdRange { base: 100_000, size: 5 * SIZE };
        let at = |slot: u32| range(100_000 + slot * SIZE);
        assert_eq!(free_range(pool, &[]).unwrap(), at(0));
        assert_eq!(free_range(pool, &[at(0), at(2)]).unwrap(), at(1));
        assert_eq!(free_range(pool, &[at(1), at(0)]).unwrap(), at(2));
        // One that lies across two slots, from another pool before.
        assert_eq!(free_range(pool, &[range(100_100)]).unwrap(), range(100_100 + SIZE));
        let all: Vec<_> = (0..5).map(at).collect();
        assert!(matches!(free_range(pool, &all), Err(SpecError::NoIdRange(SIZE))));
    }

    #[test]
    fn pools() {
        assert_eq!(id_pool("", "").unwrap(), DEFAULT_POOL);
        assert_eq!(id_pool("me:100000:65536\n", "me:1:1").unwrap(), DEFAULT_POOL);
        let ours = "x:1:2\nconex:200000:131072\n";
        assert_eq!(id_pool(ours, ours).unwrap(), IdRange { base: 200_000, size: 131_072 });
        assert!(id_pool(ours, "").is_err());
        for bad in [
            "conex:0:65536",
            "conex:1:65535",
            "conex:4294967295:65536",
            "conex:x:1",
            "conex",
            "conex:-1:65536",
        ] {
            assert!(id_pool(bad, bad).is_err(), "{bad}");
        }
        assert!(u64::from(DEFAULT_POOL.base) + u64::from(DEFAULT_POOL.size) < u64::from(u32::MAX));
    }

    proptest::proptest! {
        #[test]
        fn never_two_at_one_place(bases in proptest::collection::vec(0u32..2_000_000, 0..12)) {
            let pool = IdRange { base: 100_000, size: 1_000_000 };
            let taken: Vec<_> = bases.into_iter().map(range).collect();
            if let Ok(free) = free_range(pool, &taken) {
                let end = |range: IdRange| u64::from(range.base) + u64::from(range.size);
                proptest::prop_assert!(free.base >= pool.base && end(free) <= end(pool));
                for other in taken {
                    proptest::prop_assert!(end(free) <= u64::from(other.base) || end(other) <= u64::from(free.base));
                }
            }
        }
    }
}
