//! Inflating a layer: what Conex uses, other libraries and programs, on the output of several compressors; hashing; and both
//! together with the write, as a pull does them, against the slower of its two halves.
//!
//! Each contestant is a process that reads a file and writes to nowhere, so that the processor's time and the peak of memory
//! count alike for all. Ours is `layer`, an example of conex-archive: it is linked as the shipped programs are.

mod inflaters;
mod layers;

use std::path::PathBuf;
use std::process::Command;

use crate::Result;
use crate::measure::{Contestant, measure};
use crate::options::Options;
use crate::peers::{version, which};
use crate::report::{Report, save};
use crate::scene::{build_floor, output};

pub(crate) use inflaters::run as inflate_as;
use layers::{Layer, Layers};

/// A round takes seconds: fewer tell as much.
const ROUNDS: usize = 7;
/// Runs whose processor time and peak of memory are taken.
const USAGES: usize = 3;

const PROGRAMS: [(&str, &str); 3] = [("gzip", "gzip"), ("igzip", "isal"), ("pigz", "pigz")];

pub(crate) fn bench(options: &Options) -> Result<()> {
    let bench = Bench::set(options)?;
    let mut reports = Vec::new();
    for layer in &bench.layers.blobs {
        reports.push(bench.inflate(layer)?);
    }
    reports.push(bench.hash()?);
    reports.push(bench.pipeline()?);
    for report in &mut reports {
        for why in &bench.layers.left_out {
            report.left_out(why);
        }
        report.print();
    }
    if options.save {
        println!("kept in {}\n", save("inflate", &reports)?.display());
    }
    Ok(())
}

struct Bench {
    rounds: usize,
    layers: Layers,
    /// The example that stands for Conex.
    ours: PathBuf,
    /// This program, which runs the other libraries.
    this: PathBuf,
    /// The program that measures another one.
    floor: PathBuf,
}

impl Bench {
    fn set(options: &Options) -> Result<Self> {
        let this = std::env::current_exe().map_err(|error| error.to_string())?;
        let ours = this.with_file_name("examples").join("layer");
        if !ours.is_file() {
            return Err(format!("{} is not built: use cargo xtask bench inflate", ours.display()));
        }
        let layers = Layers::make()?;
        let floor = build_floor(&layers.directory)?;
        Ok(Self { rounds: options.rounds.min(ROUNDS), layers, ours, this, floor })
    }

    fn layer(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.ours);
        command.arg(verb);
        command
    }

    fn inflate(&self, layer: &Layer) -> Result<Report> {
        let mut commands = vec![("conex".to_owned(), env!("CARGO_PKG_VERSION").to_owned(), {
            let mut command = self.layer("inflate");
            command.arg(&layer.path);
            command
        })];
        for inflater in inflaters::ALL {
            let mut command = Command::new(&self.this);
            command.args(["inflate-as", inflater]).arg(&layer.path);
            commands.push(((*inflater).to_owned(), "a library".to_owned(), command));
        }
        // Ours and the libraries say how much came out.
        let mut wrong = Vec::new();
        commands.retain_mut(|(name, _, command)| {
            let is_right = output(command).is_ok_and(|said| said.trim() == layer.plain.to_string());
            if !is_right {
                wrong.push(format!("{name}: does not inflate all of it"));
            }
            is_right
        });
        if wrong.iter().any(|who| who.starts_with("conex")) {
            return Err(format!("{}: {}", layer.name, wrong.join("; ")));
        }
        if inflaters::ALL.is_empty() {
            wrong.push("other libraries: built without the feature inflaters".to_owned());
        }
        for (program, package) in PROGRAMS {
            if let Some(path) = which(program) {
                let mut command = Command::new(&path);
                command.arg("-dc").arg(&layer.path);
                commands.push((format!("{program} -dc"), version(&path), command));
            } else {
                wrong.push(format!("{program}: not installed (apt-get install {package})"));
            }
        }
        let about =
            format!("{} MB out of {} MB by {}", layer.plain / 1_000_000, layer.size / 1_000_000, layer.name);
        let mut report = self.report("inflate", &about, &commands, layer.plain)?;
        for why in wrong {
            report.left_out(why);
        }
        Ok(report)
    }

    fn hash(&self) -> Result<Report> {
        let (tar, plain) = (&self.layers.tar, self.layers.plain);
        let mut ours = self.layer("hash");
        ours.arg(tar);
        let mut commands = vec![("conex".to_owned(), env!("CARGO_PKG_VERSION").to_owned(), ours)];
        for (program, arguments) in [("sha256sum", &[][..]), ("openssl", &["dgst", "-sha256"][..])] {
            if let Some(path) = which(program) {
                let mut command = Command::new(&path);
                command.args(arguments).arg(tar);
                commands.push((program.to_owned(), String::new(), command));
            }
        }
        self.report("hash", &format!("sha256 of {} MB", plain / 1_000_000), &commands, plain)
    }

    /// What a pull does with a blob that is here, and its halves.
    fn pipeline(&self) -> Result<Report> {
        let (tar, plain) = (&self.layers.tar, self.layers.plain);
        let blob = self.layers.blobs.first().ok_or("no layer")?;
        let to = self.layers.directory.join("written");
        let mut inflate = self.layer("inflate");
        inflate.arg(&blob.path);
        let mut store = self.layer("store");
        store.arg(tar).arg(&to);
        let mut pull = self.layer("pull");
        pull.arg(&blob.path).arg(&to);
        let commands = [("inflate", inflate), ("hash and write", store), ("conex", pull)];
        let commands = commands.map(|(name, command)| (name.to_owned(), String::new(), command));
        let about = format!(
            "{} MB: inflate on one thread, hash and write to a file on another; and each alone",
            plain / 1_000_000
        );
        let mut report = self.report("pipeline", &about, &commands, plain)?;
        report.ratio_to_slower(["inflate", "hash and write"], 1.15);
        Ok(report)
    }

    fn report(
        &self,
        what: &'static str,
        about: &str,
        commands: &[(String, String, Command)],
        plain: u64,
    ) -> Result<Report> {
        let contestants = commands.iter().map(|(name, version, command)| {
            Contestant::with_before(name, version, || self.layers.clear(), || again(command))
        });
        let mut report = Report::new(what, about).times(measure(contestants.collect(), self.rounds));
        // A length fits a float to the byte.
        #[allow(clippy::cast_precision_loss)]
        let megabytes = plain as f64 / 1e6;
        for (name, _, command) in commands {
            let Some(median) = report.median(name) else { continue };
            let (processor, peak) = self.usage(command)?;
            report.figure(format!("{name}: out"), megabytes / median * 1000.0, "MB/s");
            report.figure(format!("{name}: processor"), processor, "ms");
            report.figure(format!("{name}: peak memory"), peak, "MiB");
        }
        Ok(report)
    }

    /// Milliseconds of processor time and MiB of peak memory, medians.
    fn usage(&self, command: &Command) -> Result<(f64, f64)> {
        let (mut times, mut peaks) = (Vec::new(), Vec::new());
        for _ in 0..USAGES {
            self.layers.clear();
            let mut usage = Command::new(&self.floor);
            usage.arg("usage").arg(command.get_program()).args(command.get_args());
            let said = output(&mut usage)?;
            let numbers =
                said.split_whitespace().map(str::parse::<f64>).collect::<std::result::Result<Vec<_>, _>>();
            let Ok([peak, time]) = numbers.as_deref() else {
                return Err(format!("floor usage says {said:?}"));
            };
            times.push(time / 1000.0);
            peaks.push(peak / 1024.0);
        }
        times.sort_by(f64::total_cmp);
        peaks.sort_by(f64::total_cmp);
        Ok((times[USAGES / 2], peaks[USAGES / 2]))
    }
}

/// A command can be run once; this is the same once more.
fn again(command: &Command) -> Command {
    let mut same = Command::new(command.get_program());
    same.args(command.get_args());
    same
}
