//! Starts containers one after the other and looks at what they cost.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::EDGE;
use crate::Result;
use crate::scene::output;

/// Makes the command of a verb with these words.
type Verb<'a> = dyn Fn(&[&str]) -> Command + 'a;

/// An engine, as far as a crowd needs it.
pub(super) struct Crowd<'a> {
    pub(super) name: String,
    /// Starts the container of a number.
    pub(super) start: Box<dyn Fn(usize) -> Command + 'a>,
    /// Any other verb.
    pub(super) verb: Box<Verb<'a>>,
    /// `rm --force`, at once.
    pub(super) remove: &'static [&'static str],
    /// What is in the command line of the process that it keeps for each container, where that is not the parent of the
    /// container's: a daemon in a pid namespace of its own numbers them otherwise.
    pub(super) supervisor: Option<[String; 2]>,
}

/// A crowd that is there.
#[derive(Debug, Clone)]
pub(super) struct Settled {
    pub(super) count: usize,
    /// Seconds for all starts.
    pub(super) took: f64,
    /// Milliseconds, the median of the first few and of the last few.
    pub(super) first: f64,
    pub(super) last: f64,
    /// KiB of the supervisors that they share with nobody: mean and largest.
    pub(super) private: f64,
    pub(super) largest: f64,
}

impl Crowd<'_> {
    /// Starts `count` of them, or as many as it can in a time.
    pub(super) fn gather(&self, count: usize, within: Option<Duration>) -> Result<Settled> {
        let begun = Instant::now();
        let mut times = Vec::with_capacity(count);
        while times.len() < count && within.is_none_or(|within| begun.elapsed() < within) {
            let start = Instant::now();
            let mut command = (self.start)(times.len());
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            // Not its output's end is waited for, which a supervisor may hold, but its own.
            let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
            let status = child.wait().map_err(|error| error.to_string())?;
            if !status.success() {
                return Err(format!("{}: start {} failed: {status}", self.name, times.len() + 1));
            }
            times.push(start.elapsed().as_secs_f64() * 1000.0);
        }
        let took = begun.elapsed().as_secs_f64();
        // What a start needed is given back some time after it.
        std::thread::sleep(Duration::from_secs(2));
        let count = times.len();
        let edge = EDGE.min(count.div_ceil(2));
        let (first, last) =
            (median(&mut times[..edge].to_vec()), median(&mut times[count - edge..].to_vec()));
        let (private, largest) = private(&self.supervisors(count)?)?;
        Ok(Settled { count, took, first, last, private, largest })
    }

    /// The processes that are kept for the containers.
    fn supervisors(&self, count: usize) -> Result<Vec<String>> {
        let Some(words) = &self.supervisor else {
            let mut inspect = (self.verb)(&["inspect", "--format", "{{.State.Pid}}"]);
            let pids = output(inspect.args((0..count).map(|number| format!("crowd-{number}"))))?;
            return Ok(pids.lines().filter_map(|pid| parent(pid.trim())).collect());
        };
        let all = fs::read_dir("/proc").map_err(|error| error.to_string())?.flatten();
        let pids = all.filter_map(|entry| entry.file_name().into_string().ok());
        let is_one = |pid: &String| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            words.iter().all(|word| line.contains(word.as_str()))
        };
        Ok(pids.filter(is_one).collect())
    }
}

fn parent(pid: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().to_owned())
}

/// KiB that each of these has for itself: the mean, and the most.
fn private(pids: &[String]) -> Result<(f64, f64)> {
    let mut sizes = Vec::new();
    for pid in pids {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let private = |line: &&str| line.starts_with("Private_Clean:") || line.starts_with("Private_Dirty:");
        let sizes_of = rollup.lines().filter(private);
        sizes.push(
            sizes_of.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).sum::<f64>(),
        );
    }
    if sizes.is_empty() {
        return Err("no process is kept for its containers".to_owned());
    }
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let mean = sizes.iter().sum::<f64>() / sizes.len() as f64;
    Ok((mean, sizes.into_iter().fold(0.0, f64::max)))
}

pub(super) fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
