//! A comparison's result: a table for people, JSON for later.

use std::path::PathBuf;

use serde::Serialize;

use crate::Result;
use crate::machine::{Machine, today};
use crate::measure::Times;

/// A ratio that Conex has to keep.
#[derive(Debug, Serialize)]
pub(crate) struct Budget {
    pub(crate) what: String,
    /// At most.
    pub(crate) limit: f64,
    pub(crate) measured: f64,
}

/// A number other than a time.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

/// One comparison.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    what: &'static str,
    /// Which of the contestants is ours.
    ours: &'static str,
    about: String,
    machine: Machine,
    times: Vec<Times>,
    figures: Vec<Figure>,
    budgets: Vec<Budget>,
    left_out: Vec<String>,
}

impl Report {
    pub(crate) fn new(what: &'static str, about: &str) -> Self {
        Self {
            what,
            ours: "conex",
            about: about.to_owned(),
            machine: Machine::describe(),
            times: Vec::new(),
            figures: Vec::new(),
            budgets: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// The same about another binary of ours.
    pub(crate) fn of(mut self, ours: &'static str) -> Self {
        self.ours = ours;
        self
    }

    /// With these times as well.
    pub(crate) fn times(mut self, (times, left_out): (Vec<Times>, Vec<String>)) -> Self {
        self.times.extend(times);
        self.left_out.extend(left_out);
        self
    }

    pub(crate) fn figure(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.figures.push(Figure { name: name.into(), value, unit });
    }

    pub(crate) fn left_out(&mut self, why: impl Into<String>) {
        self.left_out.push(why.into());
    }

    pub(crate) fn budget(&mut self, what: impl Into<String>, limit: f64, measured: f64) {
        self.budgets.push(Budget { what: what.into(), limit, measured });
    }

    /// A budget on the ratio of ours to whoever's name begins with `peer`; nothing when one of them did not run.
    pub(crate) fn ratio(&mut self, peer: &str, limit: f64) {
        let ratios: Vec<_> = match self.median(self.ours) {
            Some(ours) => {
                self.others(peer).map(|other| (other.name.clone(), ours / other.median_ms)).collect()
            }
            None => return,
        };
        for (name, ratio) in ratios {
            self.budget(format!("{} / {name}", self.ours), limit, ratio);
        }
    }

    /// The same for one of exactly that name.
    pub(crate) fn ratio_to(&mut self, peer: &str, limit: f64) {
        if let (Some(ours), Some(theirs)) = (self.median(self.ours), self.median(peer)) {
            self.budget(format!("{} / {peer}", self.ours), limit, ours / theirs);
        }
    }

    /// The same to the slower of these.
    pub(crate) fn ratio_to_slower(&mut self, peers: [&str; 2], limit: f64) {
        let [first, second] = peers.map(|peer| self.median(peer));
        if let (Some(ours), Some(first), Some(second)) = (self.median(self.ours), first, second) {
            let what = format!("{} / the slower of {} and {}", self.ours, peers[0], peers[1]);
            self.budget(what, limit, ours / first.max(second));
        }
    }

    pub(crate) fn median(&self, name: &str) -> Option<f64> {
        self.times.iter().find(|times| times.name == name).map(|times| times.median_ms)
    }

    fn others<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Times> {
        self.times.iter().filter(move |times| times.name.starts_with(prefix))
    }

    /// Prints it, and keeps it if it is to be.
    pub(crate) fn finish(&self, save: bool) -> Result<()> {
        self.print();
        if save {
            println!("kept in {}\n", self.save()?.display());
        }
        Ok(())
    }

    pub(crate) fn print(&self) {
        println!("\n{}: {}\n{}", self.what, self.about, self.machine.line());
        let (floor, ours) = (self.median("floor"), self.median(self.ours));
        if !self.times.is_empty() {
            println!(
                "\n  {:<22} {:>10} {:>10} {:>10} {:>9} {:>9}   version",
                "", "median ms", "min ms", "p90 ms", "x floor", "x ours"
            );
        }
        let ratio =
            |of: f64, to: Option<f64>| to.map_or_else(|| "-".to_owned(), |to| format!("{:.2}", of / to));
        for times in &self.times {
            println!(
                "  {:<22} {:>10.2} {:>10.2} {:>10.2} {:>9} {:>9}   {}",
                times.name,
                times.median_ms,
                times.minimum_ms,
                times.p90_ms,
                ratio(times.median_ms, floor),
                ratio(times.median_ms, ours),
                times.version
            );
        }
        for figure in &self.figures {
            println!("  {:<48} {:>10.1} {}", figure.name, figure.value, figure.unit);
        }
        for budget in &self.budgets {
            let verdict = if budget.measured <= budget.limit { "kept" } else { "MISSED" };
            println!(
                "  budget {:<40} <= {:<8.3} {:>8.3}  {verdict}",
                budget.what, budget.limit, budget.measured
            );
        }
        for why in &self.left_out {
            println!("  left out: {why}");
        }
    }

    /// Writes `bench/results/<date>-<what>.json`; a second run of a day replaces the first.
    fn save(&self) -> Result<PathBuf> {
        save(self.what, self)
    }
}

/// Writes `bench/results/<date>-<what>.json`.
pub(crate) fn save(what: &str, result: &impl Serialize) -> Result<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("results");
    let path = directory.join(format!("{}-{what}.json", today()));
    let text = serde_json::to_string_pretty(result).map_err(|error| error.to_string())?;
    std::fs::create_dir_all(&directory)
        .and_then(|()| std::fs::write(&path, text + "\n"))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(path)
}
