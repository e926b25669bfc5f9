//! `metrics`: Prometheus's text and OpenMetrics, on standard output and over HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use conex_tests::{Conex, alpine, installed};

/// Samples by their name and labels. Panics where the text breaks the rules that both formats share.
fn parse(text: &str, is_open: bool) -> BTreeMap<String, f64> {
    let (mut samples, mut families) = (BTreeMap::new(), BTreeSet::new());
    let mut family = (String::new(), String::new());
    let body = match is_open {
        true => text.strip_suffix("# EOF\n").expect("its end"),
        false => text,
    };
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert!(families.insert(name.to_owned()), "{name} comes twice");
            family = (name.to_owned(), kind.to_owned());
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let name = series.split('{').next().expect("a name");
        assert!(
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
            "{name}"
        );
        let is_counter = is_open && family.1 == "counter";
        let expected = if is_counter { format!("{}_total", family.0) } else { family.0.clone() };
        assert_eq!(name, expected, "of its family");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(samples.insert(series.to_owned(), value).is_none(), "{series} comes twice");
    }
    samples
}

/// The sample of a container, by a part of its labels.
fn of(samples: &BTreeMap<String, f64>, name: &str, label: &str) -> f64 {
    let found =
        samples.iter().find(|(series, _)| series.starts_with(&format!("{name}{{")) && series.contains(label));
    *found.unwrap_or_else(|| panic!("no {name} of {label}: {samples:#?}")).1
}

#[test]
fn every_container_and_the_engine() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--name", "idle", alpine, "sleep", "1000"]);
    conex.ok(&[
        "run",
        "-d",
        "--name",
        "busy",
        "-m",
        "64m",
        "--pids-limit",
        "30",
        "--cpus",
        "0.3",
        alpine,
        "sh",
        "-c",
        "while :; do :; done",
    ]);
    conex.ok(&["create", "--name", "rests", alpine, "true"]);
    let text = conex.ok(&["metrics"]);
    let samples = parse(&text, false);
    assert_eq!(of(&samples, "conex_containers", "state=\"running\"") as u64, 2);
    assert_eq!(of(&samples, "conex_containers", "state=\"created\"") as u64, 1);
    assert_eq!(of(&samples, "conex_containers", "state=\"exited\"") as u64, 0);
    assert_eq!(samples["conex_images"] as u64, 1);
    let busy = "name=\"busy\"";
    assert_eq!(of(&samples, "container_spec_memory_limit_bytes", busy) as u64, 64 << 20);
    assert_eq!(of(&samples, "container_spec_memory_swap_limit_bytes", busy) as u64, 128 << 20);
    assert_eq!(of(&samples, "container_spec_cpu_quota", busy) as u64, 30_000);
    assert_eq!(of(&samples, "container_threads_max", busy) as u64, 30);
    assert_eq!(of(&samples, "container_processes", busy) as u64, 1);
    let memory = of(&samples, "container_memory_working_set_bytes", busy);
    assert!(memory > 0.0 && memory <= of(&samples, "container_memory_usage_bytes", busy));
    assert!(of(&samples, "container_memory_usage_bytes", "name=\"idle\"") > 0.0);
    let id = conex.ok(&["inspect", "-f", "{{.Id}}", "busy"]);
    let group = format!("id=\"/conex/{}\"", id.trim());
    assert!(text.contains(&group) && text.contains("image=\"docker.io/library/alpine:3.20\""), "{text}");
    assert!(!text.contains("name=\"rests\""), "{text}");
    // Counters count.
    let before = of(&samples, "container_cpu_usage_seconds_total", busy);
    conex_tests::eventually("time to pass", || {
        let samples = parse(&conex.ok(&["metrics"]), false);
        (of(&samples, "container_cpu_usage_seconds_total", busy) > before + 0.05).then_some(())
    });
    // A device's first I/O is a new series, which may come between the two.
    conex_tests::eventually("the same series in both forms", || {
        let series = |flags: &[&str], open| parse(&conex.ok(flags), open).into_keys().collect::<Vec<_>>();
        (series(&["metrics"], false) == series(&["metrics", "--openmetrics"], true)).then_some(())
    });
    if installed("promtool") {
        lint(&text);
    }
}

/// What Prometheus's own tool says of it: nothing, but of a name that is cAdvisor's.
fn lint(text: &str) {
    let mut tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    tool.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
    let output = tool.wait_with_output().expect("promtool");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.lines().all(|line| line.starts_with("container_memory_failcnt ")), "{said}");
}

struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn over(conex: &Conex) -> Self {
        let mut child = conex
            .command(&["metrics", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("conex");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("Listening on ").expect("its address").to_owned();
        Self { child, address }
    }

    /// The head and the body of an answer.
    fn ask(&self, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
        let _ = stream.write_all(request.as_bytes());
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text}"));
        (head.to_owned(), body.to_owned())
    }

    fn get(&self, path: &str, accept: &str) -> (String, String) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn over_http() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--name", "web", alpine, "sleep", "1000"]);
    let mut served = Served::over(&conex);
    let (head, body) = served.get("/metrics", "*/*");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/plain; version=0.0.4"), "{head}");
    assert!(of(&parse(&body, false), "container_last_seen", "name=\"web\"") > 0.0);
    // As Prometheus asks.
    let accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    let (head, body) = served.get("/metrics", accept);
    assert!(head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(of(&parse(&body, true), "container_last_seen", "name=\"web\"") > 0.0);
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "404"),
        ("DELETE /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "405"),
        ("\u{16}\u{3}\u{1} hello\r\n\r\n", "400"),
    ] {
        let (head, _) = served.ask(request);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {head}");
    }
    // What happens meanwhile is seen; several who ask at once are answered.
    conex.ok(&["rm", "-f", "web"]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let (_, body) = served.get("/metrics", "*/*");
                assert!(!body.contains("name=\"web\"") && body.contains("conex_images 1\n"), "{body}");
            });
        }
    });
    let pid = rustix::process::Pid::from_child(&served.child);
    let held = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).expect("a process");
    rustix::process::pidfd_send_signal(held, rustix::process::Signal::TERM).expect("a signal");
    assert_eq!(served.child.wait().expect("its end").code(), Some(0));
    let taken = conex.fails(1, &["metrics", "--listen", "192.0.2.77:1"]);
    assert!(taken.contains("cannot listen on 192.0.2.77:1"), "{taken}");
    conex.fails(125, &["metrics", "--listen", "nowhere"]);
}
