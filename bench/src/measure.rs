//! Timing: every round runs each contestant once, from before its start until it has been waited for, and the order turns
//! from round to round, so that what else the machine does hits all alike.

use std::process::{Command, Stdio};
use std::time::Instant;

use serde::Serialize;

use crate::Result;

/// Runs before the clock counts: caches fill, and a contestant that does not work here shows.
const WARM_UP: usize = 3;

/// One that is timed.
pub(crate) struct Contestant<'a> {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Makes the command of one run.
    command: Box<dyn Fn() -> Command + 'a>,
    /// Undoes what a run has left, before the next one; not timed.
    before: Box<dyn Fn() + 'a>,
}

impl<'a> Contestant<'a> {
    pub(crate) fn new(name: &str, version: &str, command: impl Fn() -> Command + 'a) -> Self {
        Self::with_before(name, version, || {}, command)
    }

    /// One that needs something done, untimed, before each run.
    pub(crate) fn with_before(
        name: &str,
        version: &str,
        before: impl Fn() + 'a,
        command: impl Fn() -> Command + 'a,
    ) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            command: Box::new(command),
            before: Box::new(before),
        }
    }
}

/// How a contestant did, in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Times {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) median_ms: f64,
    pub(crate) minimum_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) rounds: usize,
}

/// Times all; gives back who took part, and why others did not.
pub(crate) fn measure(contestants: Vec<Contestant<'_>>, rounds: usize) -> (Vec<Times>, Vec<String>) {
    let (mut fit, mut left_out) = (Vec::new(), Vec::new());
    for contestant in contestants {
        match (0..WARM_UP).try_for_each(|_| once(&contestant).map(|_| ())) {
            Ok(()) => fit.push((contestant, Vec::with_capacity(rounds))),
            Err(why) => left_out.push(why),
        }
    }
    for round in 0..rounds {
        for turn in 0..fit.len() {
            let index = (round + turn) % fit.len();
            let (contestant, times) = &mut fit[index];
            match once(contestant) {
                Ok(time) => times.push(time),
                Err(why) => left_out.push(format!("{why} (in round {round}, not counted)")),
            }
        }
    }
    let times = fit.into_iter().filter(|(_, times)| !times.is_empty());
    (times.map(|(contestant, times)| summary(contestant, times)).collect(), left_out)
}

fn once(contestant: &Contestant<'_>) -> Result<f64> {
    (contestant.before)();
    let mut command = (contestant.command)();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let status = command.status();
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    let status = status.map_err(|error| format!("{}: {error}", contestant.name))?;
    if !status.success() {
        // Once more, to hear why.
        (contestant.before)();
        let said = (contestant.command)().stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&said.stderr);
        let line = said.lines().last().unwrap_or("it does not say why");
        return Err(format!("{}: {status}: {line}", contestant.name));
    }
    Ok(took)
}

fn summary(contestant: Contestant<'_>, mut times: Vec<f64>) -> Times {
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    Times {
        name: contestant.name,
        version: contestant.version,
        median_ms: at(50),
        minimum_ms: times[0],
        p90_ms: at(90),
        rounds: times.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_is_left_out_with_its_reason() {
        let good = Contestant::new("good", "1", || Command::new("true"));
        let bad = Contestant::new("bad", "1", || {
            let mut command = Command::new("sh");
            command.args(["-c", "echo no cgroup >&2; exit 3"]);
            command
        });
        let absent = Contestant::new("absent", "1", || Command::new("/no/such/program"));
        let (times, left_out) = measure(vec![good, bad, absent], 5);
        assert_eq!((times.len(), times[0].rounds), (1, 5));
        assert!(left_out[0].ends_with("no cgroup") && left_out.len() == 2, "{left_out:?}");
    }

    #[test]
    fn medians() {
        let contestant = Contestant::new("x", "1", || Command::new("true"));
        let times = summary(contestant, vec![9.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!((times.median_ms, times.minimum_ms), (3.0, 1.0));
    }
}
