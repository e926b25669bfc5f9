//! The program's environment: the configuration's, of two values of a name the later one, and HOME from the container's
//! account file when it is left out, as programs have come to expect of every runtime.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;

use conex_oci::runtime::Process;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};

const ACCOUNTS: &str = "/etc/passwd";

/// Account files are small; a hostile one may be endless.
const LONGEST: u64 = 1 << 20;

/// Called in the container's root.
pub(super) fn of(process: &Process) -> Vec<Cow<'_, str>> {
    let mut seen = Names::default();
    let mut environment: Vec<Cow<'_, str>> = process
        .env
        .iter()
        .rev()
        .filter(|entry| {
            // An empty HOME is as good as none.
            entry.as_str() != "HOME="
                && seen.insert(entry.split_once('=').map_or(entry.as_str(), |(name, _)| name))
        })
        .map(|entry| entry.as_str().into())
        .collect();
    environment.reverse();
    if seen.insert("HOME") {
        let home = accounts().and_then(|text| home(&text, process.user.uid).map(str::to_owned));
        environment.push(format!("HOME={}", home.as_deref().unwrap_or("/")).into());
    }
    environment
}

/// A set of names. A few are looked through: a table costs random numbers from the kernel.
#[derive(Default)]
struct Names<'a> {
    few: Vec<&'a str>,
    many: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    /// Whether it is new.
    fn insert(&mut self, name: &'a str) -> bool {
        if self.few.contains(&name) {
            return false;
        }
        if self.few.len() < 32 {
            self.few.push(name);
            return true;
        }
        self.many.insert(name)
    }
}

/// The image's file: a link may lead anywhere in the container but to what the kernel keeps open, and it may be no file at all.
fn accounts() -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat2(CWD, ACCOUNTS, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut bytes = Vec::with_capacity(4096);
    File::from(file).take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// passwd(5): name:password:uid:gid:comment:home:shell
fn home(text: &str, uid: u32) -> Option<&str> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.nth(2)?.parse() == Ok(uid);
        fields.nth(2).filter(|home| is_it && !home.is_empty() && !home.contains('\0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_name_counts() {
        let env = ["A=1", "HOME=/h", "B=2", "A=3", "C"].map(str::to_owned).to_vec();
        let process = Process { env, ..Process::default() };
        assert_eq!(of(&process), ["HOME=/h", "B=2", "A=3", "C"]);
        // As many as there may be.
        let env = (0..200).map(|number| format!("V{}={number}", number % 100)).chain(["HOME=/h".to_owned()]);
        let process = Process { env: env.collect(), ..Process::default() };
        let wanted: Vec<String> = (100..200).map(|number| format!("V{}={number}", number - 100)).collect();
        assert_eq!(of(&process)[..100], wanted);
        assert_eq!(of(&process).len(), 101);
    }

    #[test]
    fn homes_are_found() {
        let text =
            "root:x:0:0:root:/root:/bin/sh\nbroken\napp:x:1000:1000::/srv/app:\nnobody:x:65534:65534:::\n";
        assert_eq!(home(text, 0), Some("/root"));
        assert_eq!(home(text, 1000), Some("/srv/app"));
        assert_eq!((home(text, 65534), home(text, 7)), (None, None));
    }
}
