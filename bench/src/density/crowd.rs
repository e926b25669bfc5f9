//! Starts containers one after the other and looks at what they cost.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::EDGE;
use crate::Result;

/// An engine, as far as a crowd needs it.
pub(super) struct Crowd<'a> {
    pub(super) name: String,
    /// Starts the container of a number.
    pub(super) start: Box<dyn Fn(usize) -> Command + 'a>,
    /// Any other verb.
    pub(super) verb: Box<dyn Fn(&[&str]) -> Command + 'a>,
    /// What the process is called that it keeps for each container.
    pub(super) supervisor: &'static str,
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
    /// KiB that the machine has less for each, the kernel's and the container's own included.
    pub(super) whole: f64,
}

impl Crowd<'_> {
    /// Starts `count` of them, or as many as it can in a time.
    pub(super) fn gather(&self, count: usize, within: Option<Duration>) -> Result<Settled> {
        let before = available()?;
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
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let whole = (before - available()?) / count as f64;
        let (private, largest) = self.supervisors()?;
        Ok(Settled { count, took, first, last, private, largest, whole })
    }

    /// KiB that each of the processes of that name has for itself: the mean, and the most.
    fn supervisors(&self) -> Result<(f64, f64)> {
        let mut sizes = Vec::new();
        for entry in fs::read_dir("/proc").map_err(|error| error.to_string())?.flatten() {
            let path = entry.path();
            // Its name is cut after 15 characters; a command of the moment has no session of its own.
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            if name.trim_end() != &self.supervisor[..self.supervisor.len().min(15)] {
                continue;
            }
            let rollup = fs::read_to_string(path.join("smaps_rollup")).unwrap_or_default();
            let private = rollup
                .lines()
                .filter(|line| line.starts_with("Private_Clean:") || line.starts_with("Private_Dirty:"));
            let sum: f64 =
                private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).sum();
            sizes.push(sum);
        }
        if sizes.is_empty() {
            return Err(format!("{}: there is no process {}", self.name, self.supervisor));
        }
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let mean = sizes.iter().sum::<f64>() / sizes.len() as f64;
        Ok((mean, sizes.into_iter().fold(0.0, f64::max)))
    }
}

/// KiB that are to be had.
fn available() -> Result<f64> {
    let text = fs::read_to_string("/proc/meminfo").map_err(|error| error.to_string())?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| "no MemAvailable".to_owned())
}

pub(super) fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
