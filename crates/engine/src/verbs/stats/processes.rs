//! What the processes of a container use, one by one: where no controller counts it for all of them.

use std::collections::HashMap;
use std::path::PathBuf;

/// Sums over processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Processes {
    pub(super) threads: u64,
    /// Bytes of anonymous and shared memory; what is of files is page cache.
    pub(super) memory: u64,
    /// Bytes from block devices: also of processes that have ended, once their parent has waited for them.
    pub(super) read: u64,
    /// Bytes to block devices.
    pub(super) written: u64,
    /// Nanoseconds, likewise.
    pub(super) cpu: u64,
}

impl Processes {
    /// Reads what is wanted of each; one that has ended counts nothing.
    pub(super) fn of(pids: &[u32], io: bool, cpu: bool) -> Self {
        let mut sum = Self::default();
        for pid in pids {
            let read = |wanted: bool, file: &str| match wanted {
                true => std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default(),
                false => String::new(),
            };
            sum.add_status(&read(true, "status"));
            sum.add_io(&read(io, "io"));
            sum.add_stat(&read(cpu, "stat"));
        }
        sum
    }

    fn add_status(&mut self, text: &str) {
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let number = || value.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0);
            match name {
                "RssAnon" | "RssShmem" => self.memory += number() << 10,
                "Threads" => self.threads += number(),
                _ => {}
            }
        }
    }

    fn add_io(&mut self, text: &str) {
        for (name, value) in text.lines().filter_map(|line| line.split_once(": ")) {
            let number = || value.parse::<u64>().unwrap_or(0);
            match name {
                "read_bytes" => self.read += number(),
                "write_bytes" => self.written += number(),
                _ => {}
            }
        }
    }

    /// utime, stime, cutime, cstime: fields 14 to 17 of proc_pid_stat(5), in ticks.
    fn add_stat(&mut self, text: &str) {
        let Some((_, fields)) = text.rsplit_once(')') else { return };
        let ticks =
            fields.split_ascii_whitespace().skip(11).take(4).filter_map(|word| word.parse::<u64>().ok());
        self.cpu += ticks.sum::<u64>() * (1_000_000_000 / rustix::param::clock_ticks_per_second().max(1));
    }
}

/// All processes by their pid namespaces, looked for once: an ordinary user's containers may have no groups.
#[derive(Default)]
pub(super) struct Namespaces {
    known: Option<HashMap<PathBuf, Vec<u32>>>,
}

impl Namespaces {
    /// The processes in the pid namespace of one.
    pub(super) fn pids_beside(&mut self, pid: u32) -> Vec<u32> {
        let of = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let known = self.known.get_or_insert_with(|| {
            let mut known: HashMap<PathBuf, Vec<u32>> = HashMap::new();
            let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
            let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
            for (pid, namespace) in pids.filter_map(|pid| Some((pid, of(pid)?))) {
                known.entry(namespace).or_default().push(pid);
            }
            known
        });
        of(pid).and_then(|namespace| known.get(&namespace).cloned()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_proc() {
        let mut sum = Processes::default();
        sum.add_status(
            "Name:\tx\nRssAnon:\t     100 kB\nRssFile:\t    9000 kB\nRssShmem:\t       4 kB\nThreads:\t3\n",
        );
        sum.add_io("rchar: 9\nwchar: 9\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 1\n");
        sum.add_stat("7 (a) b) S 1 7 7 0 -1 4194560 0 0 0 0 1 2 3 4 20 0 1 0 100 0 0\n");
        assert_eq!((sum.memory, sum.threads), (104 << 10, 3));
        assert_eq!((sum.read, sum.written), (4096, 8192));
        assert_eq!(sum.cpu, 10 * 1_000_000_000 / rustix::param::clock_ticks_per_second());
    }

    #[test]
    fn we_use_something() {
        let own = Processes::of(&[std::process::id()], true, true);
        assert!(own.memory > 0 && own.threads > 0, "{own:?}");
        assert!(Namespaces::default().pids_beside(std::process::id()).contains(&std::process::id()));
        assert_eq!(Processes::of(&[u32::MAX], true, true), Processes::default());
    }
}
