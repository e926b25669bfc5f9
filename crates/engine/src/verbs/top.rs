//! `top`: the container's processes as the host sees them, read from /proc; with options of ps(1), the host's ps.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use conex_cgroup::Cgroup;
use conex_oci::ContainerId;

use crate::events::Subject;
use crate::time::Time;
use crate::{Engine, Error, Result};

/// A table of processes.
#[derive(Debug, Clone, Default)]
pub struct Top {
    /// `UID`, `PID`, …
    pub titles: Vec<String>,
    /// One row a process, as long as the titles.
    pub processes: Vec<Vec<String>>,
}

impl Engine {
    /// Lists the processes; `ps` options as ps(1) takes them, none for `-ef`.
    ///
    /// # Errors
    /// Not running, or options that ps refuses.
    pub fn top(&self, id: &ContainerId, ps: &[String]) -> Result<Top> {
        let record = self.parts.store.must_record(id)?;
        let state = self.parts.store.state(id)?;
        let at_rest = || Error::at_rest(state.as_ref(), record.name.to_string());
        let process = state.as_ref().and_then(|state| state.process()).ok_or_else(at_rest)?;
        let group = Cgroup::open(self.parts.host()?, &record.cgroup)?;
        let pids = if group.exists() { group.procs()? } else { in_its_namespace(process.pid) };
        let top = if ps.is_empty() { own(&pids) } else { hosts(&pids, ps)? };
        self.event(&Subject::from(&record).event("top"));
        Ok(top)
    }
}

impl Engine {
    /// The same for all of a pod's containers that run.
    ///
    /// # Errors
    /// As [`Engine::top`], of a pod in which nothing runs.
    pub fn top_pod(&self, pod: &ContainerId, ps: &[String]) -> Result<Top> {
        let mut top = self.top(pod, ps)?;
        for member in self.pod_members(pod)? {
            match self.top(&member, ps) {
                Ok(more) => top.processes.extend(more.processes),
                Err(Error::NotRunning { .. } | Error::Restarting { .. } | Error::NoSuchContainer { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(top)
    }
}

/// The processes in the pid namespace of one, in order: an ordinary user's container may have no control group.
fn in_its_namespace(pid: u32) -> Vec<u32> {
    let of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(namespace) = of(&pid.to_string()) else { return Vec::new() };
    let mut pids: Vec<u32> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let number = name.to_str()?.parse().ok()?;
            (of(name.to_str()?)? == namespace).then_some(number)
        })
        .collect();
    pids.sort_unstable();
    pids
}

/// The columns of `ps -ef`.
fn own(pids: &[u32]) -> Top {
    let users = users(&std::fs::read_to_string("/etc/passwd").unwrap_or_default());
    let boot = boot_time();
    // sysconf(_SC_CLK_TCK), 100 on every Linux.
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let mut processes = Vec::new();
    // One that has ended since is left out.
    processes.extend(pids.iter().filter_map(|&pid| row(pid, &users, boot, ticks)));
    let titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
    Top { titles: titles.map(str::to_owned).to_vec(), processes }
}

fn row(pid: u32, users: &HashMap<u32, String>, boot: i64, ticks: u64) -> Option<Vec<String>> {
    use std::os::unix::fs::MetadataExt;
    let proc = Path::new("/proc").join(pid.to_string());
    let uid = std::fs::metadata(&proc).ok()?.uid();
    let stat = std::fs::read(proc.join("stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (head, fields) = stat.rsplit_once(')')?;
    let comm = head.split_once('(')?.1;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    // proc(5) counts from 1 and the command is 2: ppid is 4, tty_nr 7, utime 14, stime 15, starttime 22.
    let (ppid, tty, used, began) =
        (number(1), number(4), (number(11) + number(12)) / ticks, number(19) / ticks);
    let began = boot + i64::try_from(began).unwrap_or(0);
    let lived = u64::try_from(Time::now().seconds() - began).unwrap_or(0).max(1);
    let cmdline = std::fs::read(proc.join("cmdline")).unwrap_or_default();
    let command = match String::from_utf8_lossy(&cmdline).trim_end_matches('\0') {
        "" => format!("[{comm}]"),
        words => words.replace(|c: char| c.is_control(), " "),
    };
    Some(vec![
        users.get(&uid).cloned().unwrap_or_else(|| uid.to_string()),
        pid.to_string(),
        ppid.to_string(),
        (used * 100 / lived).min(99).to_string(),
        clock(began),
        terminal(tty),
        format!("{:02}:{:02}:{:02}", used / 3600, used / 60 % 60, used % 60),
        command,
    ])
}

fn users(passwd: &str) -> HashMap<u32, String> {
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let (name, uid) = (fields.next()?, fields.nth(1)?);
        Some((uid.parse().ok()?, name.to_owned()))
    };
    passwd.lines().filter_map(entry).collect()
}

fn boot_time() -> i64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok()).unwrap_or(0)
}

/// `15:04` of today, else `Jan02`, in local time.
fn clock(seconds: i64) -> String {
    let zone = jiff::tz::TimeZone::system();
    let Ok(stamp) = jiff::Timestamp::from_second(seconds) else { return "?".to_owned() };
    let (then, now) = (stamp.to_zoned(zone.clone()), jiff::Timestamp::now().to_zoned(zone));
    let pattern = if then.date() == now.date() { "%H:%M" } else { "%b%d" };
    then.strftime(pattern).to_string()
}

/// tty_nr of proc(5): the minor number is in two parts.
fn terminal(number: u64) -> String {
    let (major, minor) = (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xfff00);
    match major {
        0 => "?".to_owned(),
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 => format!("tty{minor}"),
        _ => format!("{major}:{minor}"),
    }
}

/// The host's ps, reduced to the container's processes, as Docker does it.
fn hosts(pids: &[u32], options: &[String]) -> Result<Top> {
    let mut ps = Command::new("ps");
    ps.args(options);
    // By itself ps shows the caller's processes, and a container's are another user's. BSD's options have their own way to say it.
    if options.first().is_some_and(|option| option.starts_with('-')) {
        let list: Vec<String> = pids.iter().map(u32::to_string).collect();
        ps.args(["-p", &list.join(",")]);
    }
    let output = ps.output().map_err(|source| Error::Ps { source })?;
    if !output.status.success() {
        let mut why = String::new();
        let said = String::from_utf8_lossy(&output.stderr);
        let _ = write!(
            why,
            "{}",
            said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it failed").trim()
        );
        return Err(Error::PsFailed { why });
    }
    table(&String::from_utf8_lossy(&output.stdout), pids).ok_or(Error::PsWithoutPid)
}

/// `None` without a column of pids.
fn table(text: &str, pids: &[u32]) -> Option<Top> {
    let mut lines = text.lines();
    let titles: Vec<String> = lines.next()?.split_whitespace().map(str::to_owned).collect();
    let column = titles.iter().position(|title| title == "PID")?;
    let mut processes = Vec::new();
    for line in lines {
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        if words.get(column).and_then(|pid| pid.parse().ok()).is_some_and(|pid: u32| pids.contains(&pid)) {
            // The last column is the command, which has spaces.
            if words.len() > titles.len() {
                let command = words.split_off(titles.len() - 1).join(" ");
                words.push(command);
            }
            processes.push(words);
        }
    }
    Some(Top { titles, processes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_keeps_our_rows_and_the_command_whole() {
        let text = "  PID USER  COMMAND\n    1 root  init [2] x\n   42 bob   sleep 10 20\n";
        let top = table(text, &[42]).unwrap();
        assert_eq!(top.processes, [["42", "bob", "sleep 10 20"]]);
        assert!(table("USER COMMAND\nroot x\n", &[1]).is_none());
    }

    #[test]
    fn we_are_in_our_own_table() {
        let top = own(&[std::process::id()]);
        assert_eq!(top.processes.len(), 1);
        assert_eq!(top.processes[0].len(), top.titles.len());
        assert_eq!(top.processes[0][1], std::process::id().to_string());
    }

    #[test]
    fn terminals() {
        assert_eq!(terminal(0), "?");
        assert_eq!(terminal(136 << 8 | 3), "pts/3");
    }
}
