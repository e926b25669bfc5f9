//! The command line.

use std::path::PathBuf;

use crate::Result;

/// All comparisons, in the order in which they run.
pub(crate) const ALL: [&str; 10] =
    ["run", "layers", "exec", "memory", "size", "pull", "network", "density", "runtime", "inflate"];

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The comparisons.
    pub(crate) what: Vec<String>,
    /// How often each contestant runs.
    pub(crate) rounds: usize,
    /// How many containers `density` has at once.
    pub(crate) count: usize,
    /// Other programs to compare with: a name that begins with `podman`, `docker`, `runc` or `crun` (`runtime` takes any other
    /// OCI runtime, too), and the program.
    pub(crate) peers: Vec<(String, PathBuf)>,
    /// Whether results are kept.
    pub(crate) save: bool,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self { what: Vec::new(), rounds: 40, count: 1000, peers: Vec::new(), save: true };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--rounds" => {
                    let rounds = arguments.next().and_then(|text| text.parse().ok());
                    options.rounds = rounds.filter(|rounds| *rounds > 0).ok_or("--rounds needs a number")?;
                }
                "--count" => {
                    let count = arguments.next().and_then(|text| text.parse().ok());
                    options.count = count.filter(|count| *count > 0).ok_or("--count needs a number")?;
                }
                "--peer" => {
                    let peer = arguments.next().unwrap_or_default();
                    let (name, path) = peer.split_once('=').ok_or("--peer needs NAME=PATH")?;
                    options.peers.push((name.to_owned(), path.into()));
                }
                "--no-save" => options.save = false,
                what if ALL.contains(&what) => options.what.push(what.to_owned()),
                other => {
                    return Err(format!(
                        "unknown {other:?} (known: {}, --rounds, --count, --peer, --no-save)",
                        ALL.join(", ")
                    ));
                }
            }
        }
        if options.what.is_empty() {
            options.what = ALL.map(str::to_owned).into();
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options> {
        Options::parse(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read() {
        let options = parse("run --rounds 5 --peer crun-1.27=/opt/crun exec").unwrap();
        assert_eq!(options.what, ["run", "exec"]);
        assert_eq!((options.rounds, options.peers), (5, vec![("crun-1.27".to_owned(), "/opt/crun".into())]));
        assert_eq!(parse("").unwrap().what, ALL);
        assert_eq!((parse("").unwrap().count, parse("density --count 7").unwrap().count), (1000, 7));
        for bad in ["walk", "--count 0", "--rounds", "--rounds 0", "--peer crun"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
