//! SIGKILL at each system call: whatever `conex-runtime`, or a process it makes, was about to do when it was killed,
//! `delete --force` clears what is left: no state, cgroup, mount or process stays.
//!
//! One run takes every so-many-th call, beginning with another one each time; `CONEX_FAULTS=all` takes each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use conex_tests::{Output, Runtime, eventually, fixture, needs_root, skip};
use serde_json::json;

/// Every so many calls, unless all are asked for.
const STEP: usize = 7;

struct Bed {
    runtime: Runtime,
    killat: PathBuf,
    bundle: String,
    report: PathBuf,
    step: usize,
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// The command itself.
    Itself,
    /// The process that it makes, which becomes the container's.
    Child,
}

#[test]
fn killed_at_each_system_call_all_is_cleared() {
    needs_root!();
    let Some(runtime) = Runtime::new() else { skip!("no busybox image") };
    let Some(killat) = fixture("killat", runtime.scratch()) else { skip!("no C compiler") };
    // Orphans become this process's children, and can be counted.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("PR_SET_CHILD_SUBREAPER");
    let mut config = runtime.config(&["/bin/sleep", "1000"]);
    config["linux"]["resources"] = json!({"pids": {"limit": 100}, "memory": {"limit": 100 << 20}});
    config["linux"]["cgroupsPath"] = json!(format!("{}/box", runtime.cgroup()));
    config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls":
        [{"names": ["mount"], "action": "SCMP_ACT_ERRNO"}]});
    let long = runtime.bundle("long", &config);
    config["process"]["args"] = json!(["/bin/true"]);
    let short = runtime.bundle("short", &config);
    let step = if std::env::var_os("CONEX_FAULTS").is_some_and(|which| which == "all") { 1 } else { STEP };
    let report = runtime.scratch().join("report");
    let bed = Bed { runtime, killat, bundle: long.display().to_string(), report, step };
    let short = short.display().to_string();

    let create = ["create", "--bundle", bed.bundle.as_str(), "box"];
    let run = ["run", "--bundle", short.as_str(), "box"];
    let detached = ["run", "--detach", "--bundle", bed.bundle.as_str(), "box"];
    let exec = ["exec", "box", "/bin/true"];
    bed.each(Who::Itself, &[], &create);
    bed.each(Who::Itself, &[&create], &["start", "box"]);
    bed.each(Who::Itself, &[], &run);
    bed.each(Who::Itself, &[&detached], &exec);
    bed.each(Who::Itself, &[&detached], &["kill", "box", "KILL"]);
    bed.each(Who::Itself, &[&create], &["delete", "--force", "box"]);
    bed.each(Who::Itself, &[&detached], &["delete", "--force", "box"]);
    bed.each(Who::Child, &[], &create);
    bed.each(Who::Child, &[], &run);
    bed.each(Who::Child, &[&detached], &exec);
}

impl Bed {
    /// Kills `words` at one call after the other, each time after `before`, until they end by themselves.
    fn each(&self, who: Who, before: &[&[&str]], words: &[&str]) {
        let started = std::time::Instant::now();
        let (mut killed, mut at) = (0, std::process::id() as usize % self.step);
        loop {
            for earlier in before {
                let output = self.quiet(&mut self.runtime.command(earlier));
                assert_eq!(output.code, 0, "{earlier:?}: {output:?}");
            }
            let command = self.runtime.command(words);
            let mut traced = Command::new(&self.killat);
            traced
                .arg(if who == Who::Child { "children" } else { "self" })
                .arg(at.to_string())
                .arg(&self.report);
            traced.arg(command.get_program()).args(command.get_args());
            let what = format!("{who:?} of {words:?} killed at call {at}");
            let output = self.quiet(&mut traced);
            assert_eq!(output.code, 0, "{what}: {output:?}");
            let report = fs::read_to_string(&self.report).expect("killat's report");
            let done = report.starts_with("ended");
            assert!(!done || report.starts_with("ended 0 "), "{what}: {report} {output:?}");
            assert!(!output.stderr.contains("panicked"), "{what}: {output:?}");
            if who == Who::Child {
                assert!(output.stderr.lines().count() <= 1, "{what}: {output:?}");
            }
            self.assert_cleared(&format!("{what} ({})", report.trim()));
            if done {
                break;
            }
            killed += 1;
            at += self.step;
        }
        assert!(killed * self.step > 5, "{words:?} made no system calls: the test does not work");
        println!("{who:?} of {words:?}: killed at {killed} calls of about {at}, {:.1?}", started.elapsed());
    }

    /// Runs it with its output in files: what it leaves behind may keep them open.
    fn quiet(&self, command: &mut Command) -> Output {
        let paths = ["stdout", "stderr"].map(|name| self.runtime.scratch().join(name));
        let [stdout, stderr] = paths.each_ref().map(|path| fs::File::create(path).expect("a file"));
        let mut child = command.stdout(stdout).stderr(stderr).spawn().expect("it starts");
        let status = eventually("the end of the command", || {
            // The first process of a pid namespace ends when all others there are reaped, orphans by their new parent.
            reap_all_but(child.id());
            child.try_wait().expect("try_wait")
        });
        let [stdout, stderr] = paths.map(|path| fs::read_to_string(path).unwrap_or_default());
        let signal = std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
        Output { code: status.code().unwrap_or(128 + signal), stdout, stderr }
    }

    fn assert_cleared(&self, what: &str) {
        let output = self.quiet(&mut self.runtime.command(&["delete", "--force", "box"]));
        assert_eq!(output.code, 0, "{what}: {output:?}");
        eventually(&format!("the end of all processes ({what})"), || (reap_all_but(0) == 0).then_some(()));
        // Compiled filters are kept for all containers.
        let left = entries(&self.runtime.root()).into_iter().filter(|path| !path.ends_with("@seccomp"));
        let left: Vec<_> = left.collect();
        assert!(left.is_empty(), "{what}: {left:?} is left");
        let groups = self.runtime.groups();
        assert!(groups.is_empty(), "{what}: {groups:?} is left");
        let info = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        let scratch = self.runtime.scratch().to_str().expect("a path in UTF-8");
        assert!(!info.contains(scratch), "{what}: something is mounted");
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Reaps the children that have ended, but for one that is waited for elsewhere; how many others there are.
fn reap_all_but(spared: u32) -> usize {
    use rustix::process::{Pid, WaitOptions, waitpid};
    let tasks = entries(Path::new("/proc/self/task")).into_iter().map(|task| task.join("children"));
    let children: Vec<String> = tasks.filter_map(|path| fs::read_to_string(path).ok()).collect();
    let pids =
        children.iter().flat_map(|list| list.split_whitespace()).filter_map(|pid| pid.parse::<i32>().ok());
    let others = pids.filter(|pid| pid.cast_unsigned() != spared);
    others
        .filter(|pid| !matches!(waitpid(Pid::from_raw(*pid), WaitOptions::NOHANG), Ok(Some(_)) | Err(_)))
        .count()
}
