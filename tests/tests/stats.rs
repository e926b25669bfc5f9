//! `stats`: what containers use, once and live; `top` beside it.

use conex_tests::{Conex, alpine, eventually, skip, yard};
use serde_json::Value;

/// One look, by name.
fn look(conex: &Conex, words: &[&str]) -> Vec<Value> {
    let text = conex.ok(&[&["stats", "--no-stream", "--format", "json"][..], words].concat());
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn field<'v>(row: &'v Value, name: &str) -> &'v str {
    row[name].as_str().unwrap_or_else(|| panic!("no {name} in {row}"))
}

fn percent(row: &Value, name: &str) -> f64 {
    field(row, name).trim_end_matches('%').parse().unwrap_or_else(|_| panic!("{name} of {row}"))
}

/// `1.5MiB`, `1.2kB`
fn bytes(text: &str) -> f64 {
    let units = [
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("B", 1.0),
    ];
    let (number, unit) =
        units.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size))).expect("a unit");
    number.parse::<f64>().unwrap_or_else(|_| panic!("{text}")) * unit
}

fn halves(text: &str) -> (f64, f64) {
    let (left, right) = text.split_once(" / ").unwrap_or_else(|| panic!("{text}"));
    (bytes(left), bytes(right))
}

#[test]
fn the_table() {
    let (conex, alpine) = alpine!();
    const HEADINGS: &str =
        "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O   BLOCK I/O   PIDS";
    assert_eq!(conex.ok(&["stats", "--no-stream"]).trim_end(), HEADINGS);
    conex.ok(&["run", "-d", "--name", "one", alpine, "sleep", "1000"]);
    conex.ok(&[
        "run",
        "-d",
        "--name",
        "two",
        "-m",
        "64m",
        alpine,
        "sh",
        "-c",
        "sleep 1000 & sleep 1000 & wait",
    ]);
    conex.ok(&["create", "--name", "rests", alpine, "true"]);
    let table = conex.ok(&["stats", "--no-stream"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT"), "{table}");
    assert!(lines[1].contains(" two ") && lines[1].contains(" / 64MiB "), "{table}");
    assert!(lines[2].contains(" one ") && lines[2].contains("0B / 0B"), "{table}");
    let id = conex.ok(&["inspect", "-f", "{{.Id}}", "one"]);
    let full = conex.ok(&[
        "container",
        "stats",
        "--no-stream",
        "--no-trunc",
        "--format",
        "{{.Container}} {{.ID}}",
        "one",
    ]);
    assert_eq!(full, format!("one {id}"));
    // Those that do not run: when all are asked for, or by name.
    assert_eq!(look(&conex, &["-a"]).len(), 3);
    let rests = &look(&conex, &["rests"])[0];
    assert_eq!(
        (field(rests, "CPUPerc"), field(rests, "MemUsage"), field(rests, "PIDs")),
        ("0.00%", "0B / 0B", "0")
    );
    assert_eq!(look(&conex, &["one", "one", &id[..12]]).len(), 1);
    // Docker has no such field, and no pod was asked about.
    assert_eq!((rests.get("Pod"), field(rests, "Container")), (None, "rests"));
    conex.fails(1, &["stats", "--no-stream", "nobody"]);
    let error = conex.fails(1, &["stats", "--no-stream", "--format", "{{.Nmae}}"]);
    assert!(error.contains("there is no field Nmae"), "{error}");
}

#[test]
fn the_numbers_are_true() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--name", "idle", alpine, "sleep", "1000"]);
    let hold = "x=$(head -c 12000000 /dev/zero | tr '\\0' x); echo held; sleep 1000; :";
    conex.ok(&["run", "-d", "--name", "holds", alpine, "sh", "-c", hold]);
    conex.ok(&[
        "run",
        "-d",
        "--name",
        "limited",
        "-m",
        "128m",
        "--pids-limit",
        "40",
        alpine,
        "sh",
        "-c",
        hold,
    ]);
    let write = "dd if=/dev/zero of=/data bs=1M count=24 conv=fsync 2>/dev/null; echo held; sleep 1000; :";
    conex.ok(&["run", "-d", "--name", "writes", "-m", "128m", alpine, "sh", "-c", write]);
    for name in ["holds", "limited", "writes"] {
        eventually("what it holds", || conex.ok(&["logs", name]).contains("held").then_some(()));
    }
    conex.ok(&["run", "-d", "--name", "busy", "--cpus", "0.5", alpine, "sh", "-c", "while :; do :; done"]);
    let rows = look(&conex, &[]);
    let of = |name: &str| rows.iter().find(|row| field(row, "Name") == name).expect("a row");
    // Half a processor, on a machine that has other things to do.
    assert!((5.0..80.0).contains(&percent(of("busy"), "CPUPerc")), "{rows:?}");
    assert!(percent(of("idle"), "CPUPerc") < 5.0, "{rows:?}");
    for name in ["holds", "limited"] {
        let (used, _) = halves(field(of(name), "MemUsage"));
        assert!((11e6..25e6).contains(&used), "{name}: {rows:?}");
    }
    assert!((halves(field(of("limited"), "MemUsage")).1 - 134_217_728.0).abs() < 1.0);
    assert!((8.0..20.0).contains(&percent(of("limited"), "MemPerc")), "{rows:?}");
    // The page cache is not counted, what was written is. On tmpfs a file is memory, and no disk is written to.
    const TMPFS: i64 = 0x0102_1994;
    if rustix::fs::statfs(conex.scratch()).expect("statfs").f_type != TMPFS {
        let (used, _) = halves(field(of("writes"), "MemUsage"));
        assert!(used < 8e6, "{rows:?}");
        assert!(halves(field(of("writes"), "BlockIO")).1 > 20e6, "{rows:?}");
    }
    assert_eq!((field(of("idle"), "PIDs"), field(of("limited"), "PIDs")), ("1", "2"));
    for name in ["CPUPressure", "MemPressure", "IOPressure"] {
        let text = field(of("busy"), name);
        assert!(text == "--" || (0.0..=100.0).contains(&percent(of("busy"), name)), "{text}");
    }
    // A quota is waited for: pressure is felt, where the kernel tells.
    if field(of("busy"), "CPUPressure") != "--" {
        eventually("pressure", || (percent(&look(&conex, &["busy"])[0], "CPUPressure") > 1.0).then_some(()));
    }
}

#[test]
fn what_went_over_its_network() {
    let yard = yard!();
    yard.serve("web", &[]);
    yard.conex.ok(&["run", "-d", "--name", "alone", "--network", "none", yard.image, "sleep", "1000"]);
    let before = halves(field(&look(&yard.conex, &["web"])[0], "NetIO"));
    yard.conex.ok(&["exec", "web", "sh", "-c", "head -c 200000 /dev/zero >/w/large"]);
    let address = yard.conex.ok(&["inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", "web"]);
    let get = format!("wget -qO- http://{}/large | wc -c", address.trim());
    assert_eq!(yard.conex.ok(&["run", "--rm", yard.image, "sh", "-c", &get]).trim(), "200000");
    let after = halves(field(&look(&yard.conex, &["web"])[0], "NetIO"));
    assert!(after.1 - before.1 > 190e3 && after.0 > before.0, "{before:?} {after:?}");
    assert_eq!(field(&look(&yard.conex, &["alone"])[0], "NetIO"), "0B / 0B");
    let metrics = yard.conex.ok(&["metrics"]);
    let sent = metrics.lines().find(|line| {
        line.starts_with("container_network_transmit_bytes_total{") && line.contains("name=\"web\"")
    });
    assert!(sent.is_some_and(|line| line.contains("interface=\"eth0\"")), "{metrics}");
}

#[test]
fn live() {
    let (conex, alpine) = alpine!();
    conex.ok(&["run", "-d", "--name", "stays", alpine, "sleep", "1000"]);
    conex.ok(&["run", "-d", "--name", "goes", alpine, "sleep", "1000"]);
    let mut terminal = conex.pty(&["stats", "-i", "0.2"]);
    terminal.expect("\u{1b}[H");
    terminal.expect("goes");
    terminal.expect("stays");
    conex.ok(&["run", "-d", "--name", "comes", alpine, "sleep", "1000"]);
    terminal.expect("comes");
    conex.ok(&["rm", "-f", "goes"]);
    // Tables of before may still be on their way.
    let is_gone = (0..1000).any(|_| {
        terminal.expect("CONTAINER ID");
        !terminal.expect("stays").contains("goes")
    });
    assert!(is_gone);
    terminal.send("\u{3}");
    let (code, _) = terminal.finish();
    assert_eq!(code, 130);
    // Those that were named are looked at until there is none any more.
    let watched = conex.background(&["stats", "-i", "0.1", "--format", "{{.Name}}", "comes"]);
    conex.ok(&["rm", "-f", "comes"]);
    let output = watched.finish();
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stdout.lines().all(|line| line == "comes"), "{}", output.stdout);
}

#[test]
fn top_takes_the_options_of_ps() {
    let (conex, alpine) = alpine!();
    if !conex_tests::installed("ps") {
        skip!("ps is not installed");
    }
    conex.ok(&["run", "-d", "--name", "web", alpine, "sh", "-c", "sleep 1001 & sleep 1002; :"]);
    eventually("three processes", || (conex.ok(&["top", "web"]).lines().count() == 4).then_some(()));
    let top = conex.ok(&["top", "web"]);
    let headings: Vec<&str> = top.lines().next().expect("headings").split_whitespace().collect();
    assert_eq!(headings, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    for options in
        [&["-o", "pid,rss,args"][..], &["aux"], &["-eo", "pid,comm"], &["-o", "pid=PID", "-o", "args"]]
    {
        let table = conex.ok(&[&["top", "web"][..], options].concat());
        assert!(table.contains("PID") && table.contains("sleep"), "{options:?}: {table}");
        assert!(!table.contains("ps "), "{options:?}: {table}");
    }
    conex.fails(1, &["top", "web", "-o", "rss,args"]);
    conex.fails(1, &["top", "web", "--no-such-option"]);
}
