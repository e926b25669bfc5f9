//! The numbers of system calls, from `data/syscalls.txt`. Pure data: nothing here knows what a call does.

use crate::arch::Arch;

static TABLE: &str = include_str!("../data/syscalls.txt");

/// ARM's private calls (cacheflush, set_tls, …) start here, far above the others.
const ARM_PRIVATE: u32 = 0xf_0000;

/// One architecture's calls.
#[derive(Debug)]
pub(crate) struct Numbers {
    by_name: Vec<(&'static str, u32)>,
    newest: u32,
}

impl Numbers {
    /// The table of one architecture. x32's numbers carry their bit.
    pub(crate) fn of(arch: Arch) -> Self {
        let mut by_name = Vec::with_capacity(500);
        let mut newest = 0;
        for line in TABLE.lines().filter(|line| !line.starts_with('#')).skip(1) {
            let mut fields = line.split_ascii_whitespace();
            let (Some(name), Some(number)) = (fields.next(), fields.nth(arch.column() - 1)) else { continue };
            if let Ok(number) = number.parse::<u32>() {
                by_name.push((name, number | arch.number_bit()));
                if number < ARM_PRIVATE {
                    newest = newest.max(number | arch.number_bit());
                }
            }
        }
        Self { by_name, newest }
    }

    /// The number of a call, if this architecture has it.
    pub(crate) fn get(&self, name: &str) -> Option<u32> {
        let at = self.by_name.binary_search_by_key(&name, |(known, _)| known).ok()?;
        Some(self.by_name[at].1)
    }

    /// The highest number we know, ARM's private ones aside: a call above it is newer than this program.
    pub(crate) fn newest(&self) -> u32 {
        self.newest
    }
}

/// Whether any architecture has a call of this name.
#[cfg(test)]
pub(crate) fn is_known(name: &str) -> bool {
    TABLE.lines().any(|line| line.split_ascii_whitespace().next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_whole() {
        let rows: Vec<_> = TABLE.lines().filter(|line| !line.starts_with('#')).skip(1).collect();
        assert!(rows.is_sorted_by_key(|row| row.split_ascii_whitespace().next()));
        for row in &rows {
            assert_eq!(row.split_ascii_whitespace().count(), 7, "{row}");
            let numbers = row.split_ascii_whitespace().skip(1);
            assert!(numbers.clone().all(|n| n == "-" || n.parse::<u32>().is_ok()), "{row}");
            assert!(numbers.clone().any(|n| n != "-"), "{row}");
        }
    }

    #[test]
    fn numbers_are_those_of_the_headers() {
        let number = |arch, name| Numbers::of(arch).get(name);
        assert_eq!(number(Arch::X86_64, "read"), Some(0));
        assert_eq!(number(Arch::X86_64, "clone3"), Some(435));
        assert_eq!(number(Arch::X86, "socketcall"), Some(102));
        assert_eq!(number(Arch::X86, "clock_gettime64"), Some(403));
        assert_eq!(number(Arch::X32, "execve"), Some(0x4000_0000 + 520));
        assert_eq!(number(Arch::Aarch64, "openat"), Some(56));
        assert_eq!(number(Arch::Aarch64, "open"), None);
        assert_eq!(number(Arch::Arm, "set_tls"), Some(0xf0005));
        assert_eq!(number(Arch::Riscv64, "riscv_flush_icache"), Some(259));
        assert_eq!(number(Arch::X86_64, "no_such_call"), None);
        assert_eq!(Numbers::of(Arch::Arm).newest(), 469);
        assert_eq!(Numbers::of(Arch::X86_64).newest(), 469);
    }

    /// The C library's own numbers for the machine the tests run on, as rustix and std use them.
    #[test]
    fn no_number_is_used_twice_but_by_an_alias() {
        for arch in [Arch::X86_64, Arch::X86, Arch::Aarch64, Arch::Arm, Arch::Riscv64] {
            let mut numbers: Vec<_> = Numbers::of(arch).by_name.iter().map(|(_, n)| *n).collect();
            let all = numbers.len();
            numbers.sort_unstable();
            numbers.dedup();
            let aliases = if arch == Arch::Arm { 1 } else { 0 };
            assert_eq!(all - numbers.len(), aliases, "{arch:?}");
        }
    }
}
