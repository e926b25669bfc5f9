//! What the files of a group held before an update wrote to them, so that a failed one can be taken back.

use crate::group::Group;

/// One write: the file, what it held, what was written.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) file: String,
    pub(crate) before: String,
    pub(crate) written: String,
}

impl Group {
    /// Writes what was there before, the last first, so that every step is one that the kernel has just allowed.
    pub(crate) fn roll_back(&self, journal: Vec<Entry>) {
        for entry in journal.into_iter().rev() {
            for value in entry.undo() {
                if let Err(errno) = self.write_raw(&entry.file, &value) {
                    log::warn!(
                        "cannot write {value:?} back to {}: {errno}",
                        self.path().join(&entry.file).display()
                    );
                }
            }
        }
    }
}

impl Entry {
    /// What to write to have it as it was.
    fn undo(&self) -> Vec<String> {
        if self.file == "memory.oom_control" {
            let disabled = self.before.lines().find_map(|line| line.strip_prefix("oom_kill_disable "));
            return disabled.map(str::to_owned).into_iter().collect();
        }
        let Some(none) = absent(&self.file) else {
            // An empty list is written as an empty line.
            let value = self.before.trim();
            return vec![if value.is_empty() { "\n".to_owned() } else { value.to_owned() }];
        };
        let line = |written: &str| {
            let key = written
                .split_whitespace()
                .next()
                .filter(|_| written.trim().contains(' '))
                .unwrap_or("default");
            let before = self.before.lines().find(|line| line.split_whitespace().next() == Some(key));
            match before {
                Some(line) => line.trim().to_owned(),
                // Files of one number, where the kernel is older than lines.
                None if key == "default" => self.before.trim().to_owned(),
                None => format!("{key} {none}"),
            }
        };
        self.written.lines().map(line).collect()
    }
}

/// For a file of lines that begin with a device (or another key): what takes such a line away.
fn absent(file: &str) -> Option<&'static str> {
    match file {
        "io.max" => Some("rbps=max wbps=max riops=max wiops=max"),
        "io.latency" => Some("target=0"),
        "io.weight" | "io.bfq.weight" => Some("default"),
        "rdma.max" => Some("hca_handle=max hca_object=max"),
        "misc.max" | "dmem.max" => Some("max"),
        "net_prio.ifpriomap" => Some("0"),
        file if file.starts_with("blkio.") && file.ends_with("_device") => Some("0"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_back_one_by_one() {
        let undo = |file: &str, before: &str, written: &str| {
            Entry { file: file.to_owned(), before: before.to_owned(), written: written.to_owned() }.undo()
        };
        assert_eq!(undo("memory.max", "max\n", "5"), ["max"]);
        assert_eq!(undo("cpuset.cpus", "\n", "0"), ["\n"]);
        assert_eq!(undo("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", "1"), ["0"]);
        let before = "8:0 rbps=1 wbps=max riops=max wiops=max\n";
        assert_eq!(undo("io.max", before, "8:0 rbps=9"), [before.trim()]);
        assert_eq!(
            undo("io.max", before, "8:16 rbps=9\n8:0 wbps=3"),
            ["8:16 rbps=max wbps=max riops=max wiops=max", before.trim()]
        );
        assert_eq!(undo("io.weight", "default 100\n", "300"), ["default 100"]);
        assert_eq!(undo("io.bfq.weight", "100\n", "300"), ["100"]);
        assert_eq!(undo("blkio.throttle.read_bps_device", "", "8:0 5"), ["8:0 0"]);
        assert_eq!(undo("misc.max", "sev 5\nsgx max\n", "sgx 1"), ["sgx max"]);
    }
}
