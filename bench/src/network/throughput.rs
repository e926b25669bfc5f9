//! What goes through: between two containers, and from the host to a published port, against a pair of veth devices and nothing else.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::quiet;
use crate::Result;
use crate::peers::which;
use crate::report::Report;
use crate::scene::{Scene, output, run};

/// Short and many: who is on which processor makes a tenth of it.
const ROUNDS: usize = 15;
const SECONDS: &str = "1";
const PORT: &str = "5201";

/// Who is measured, with the commands of server and client.
struct Line {
    name: &'static str,
    server: Vec<String>,
    client: Vec<String>,
    gigabits: Vec<f64>,
}

pub(super) fn bench(scene: &Scene) -> Result<Report> {
    let about = "iperf3, one TCP stream; medians; the lines take turns; without br_netfilter";
    let mut report = Report::new("network-throughput", about);
    if which("iperf3").is_none() {
        report.left_out("iperf3 is not installed (iperf3)");
        return Ok(report);
    }
    let plain = Plain::new()?;
    for (name, flags) in [("one", &["--publish", "5201:5201"][..]), ("two", &[])] {
        let mut command = scene.conex();
        command.args(["run", "--detach", "--rm", "--name", name, "--network", "bridge"]).args(flags);
        run(command.args([&scene.image, "sleep", "3600"]))?;
    }
    let measured = lines(scene, &plain).and_then(|mut lines| {
        for round in 0..ROUNDS {
            for turn in 0..lines.len() {
                let index = (round + turn) % lines.len();
                let gigabits = through(&lines[index])?;
                lines[index].gigabits.push(gigabits);
            }
        }
        Ok(lines)
    });
    run(scene.conex().args(["rm", "--force", "one", "two"]))?;
    let medians: Vec<(&str, f64)> = measured?
        .into_iter()
        .map(|mut line| {
            line.gigabits.sort_by(f64::total_cmp);
            (line.name, line.gigabits[ROUNDS / 2])
        })
        .collect();
    for (name, gigabits) in &medians {
        report.figure(*name, *gigabits, "Gbit/s");
    }
    for (name, gigabits) in &medians[1..] {
        report.budget(format!("veth pair / {name}"), 1.0 / 0.95, medians[0].1 / gigabits);
    }
    Ok(report)
}

/// The plain pair first.
fn lines(scene: &Scene, plain: &Plain) -> Result<Vec<Line>> {
    let words = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let within = |name: &str| -> Result<Vec<String>> {
        let pid = output(scene.conex().args(["inspect", "--format", "{{.State.Pid}}", name]))?;
        Ok(words(&["nsenter", "--target", pid.trim(), "--net"]))
    };
    let format = "{{.NetworkSettings.IPAddress}}";
    let address = output(scene.conex().args(["inspect", "--format", format, "one"]))?;
    let line = |name, server: Vec<String>, client: Vec<String>, to: &str| Line {
        name,
        server: [server, words(&["iperf3", "--server", "--port", PORT])].concat(),
        client: [client, words(&["iperf3", "--client", to, "--port", PORT, "--time", SECONDS, "--json"])]
            .concat(),
        gigabits: Vec::with_capacity(ROUNDS),
    };
    let pair = words(&["nsenter", "--target", &plain.0.id().to_string(), "--net"]);
    Ok(vec![
        line("a plain veth pair", pair, Vec::new(), "198.51.100.2"),
        line("container to container", within("one")?, within("two")?, address.trim()),
        line("host to published port", within("one")?, Vec::new(), "192.0.2.1"),
    ])
}

/// Gbit/s.
fn through(line: &Line) -> Result<f64> {
    let command = |words: &[String]| {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    };
    let mut server = quiet(&mut command(&line.server)).spawn().map_err(|error| format!("iperf3: {error}"))?;
    let until = Instant::now() + Duration::from_secs(5);
    // Refused until it listens; with --json that is a success with an error in it.
    let gigabits = loop {
        match output(&mut command(&line.client)).and_then(|said| rate(&said)) {
            Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
            done => break done,
        }
    };
    let _ = server.kill();
    let _ = server.wait();
    gigabits
}

/// As the receiver counts.
fn rate(said: &str) -> Result<f64> {
    let result: Value = serde_json::from_str(said).map_err(|error| format!("iperf3: {error}"))?;
    let bits = result["end"]["sum_received"]["bits_per_second"].as_f64();
    let why = || format!("iperf3: {}", result["error"].as_str().unwrap_or("it names no rate"));
    bits.map(|bits| bits / 1e9).ok_or_else(why)
}

/// A namespace at the other end of a veth pair; it ends when this is dropped.
struct Plain(Child);

impl Plain {
    fn new() -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "cat"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let plain = Self(command.spawn().map_err(|error| format!("unshare: {error}"))?);
        let pid = plain.0.id();
        let own = std::fs::read_link("/proc/self/ns/net").map_err(|error| error.to_string())?;
        let until = Instant::now() + Duration::from_secs(5);
        while std::fs::read_link(format!("/proc/{pid}/ns/net")).map_or(true, |other| other == own) {
            if Instant::now() > until {
                return Err("unshare makes no network namespace".to_owned());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let ours = format!(
            "ip link add plain0 type veth peer name plain1 netns {pid} && ip address add 198.51.100.1/24 dev plain0 &&
             ip link set plain0 up"
        );
        let theirs =
            "ip link set lo up && ip address add 198.51.100.2/24 dev plain1 && ip link set plain1 up";
        run(Command::new("sh").args(["-c", &ours]))?;
        run(Command::new("nsenter").args(["--target", &pid.to_string(), "--net", "sh", "-c", theirs]))?;
        Ok(plain)
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
