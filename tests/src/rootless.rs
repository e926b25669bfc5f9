//! An ordinary user of a private /etc, with ranges of subordinate ids that this machine's own users need not have, and a root
//! filesystem of his own.

use serde_json::{Value, json};

use crate::{Background, Enclosure, Output, Pty, runtime_path};

/// A machine's worth of files for the user.
#[derive(Debug)]
pub struct Rootless {
    /// Where all of it is.
    pub enclosure: Enclosure,
}

/// Makes the users, the root filesystem, and what the user may write to.
const PREPARE: &str = r#"
set -e
cd "$SCRATCH"
cp -a /etc etc
echo "tester:x:$USER_ID:$USER_ID::$SCRATCH/user:/bin/sh" >>etc/passwd
echo "tester:x:$USER_ID:" >>etc/group
echo "tester:$FIRST_UID:65536" >etc/subuid
echo "tester:$FIRST_GID:65536" >etc/subgid
mount --bind etc /etc
cp "$RUNTIME" runtime
mkdir -p user/run rootfs/bin rootfs/tmp rootfs/proc rootfs/sys rootfs/dev rootfs/etc
cp "$(command -v busybox)" rootfs/bin/busybox
for name in sh id cat sleep echo readlink grep stat chown touch tty stty ls kill mount head wc; do
    ln -s busybox rootfs/bin/$name
done
echo 'root:x:0:0::/:/bin/sh' >rootfs/etc/passwd
chmod 755 . runtime
chmod 777 rootfs/tmp
chown -R "$USER_ID:$USER_ID" user rootfs
"#;

impl Rootless {
    /// Of nobody on an ordinary machine.
    pub const USER: u32 = 54321;
    /// 65,536 from here on are his in /etc/subuid.
    pub const FIRST_SUBUID: u32 = 600_000;
    /// Likewise in /etc/subgid.
    pub const FIRST_SUBGID: u32 = 700_000;

    /// `None` when this machine does not let root make namespaces.
    ///
    /// # Panics
    /// When the files cannot be made.
    pub fn new() -> Option<Self> {
        let enclosure = Enclosure::new("rootless")?;
        let mut command = enclosure.command(&["sh", "-c", PREPARE]);
        command.env("SCRATCH", enclosure.scratch()).env("RUNTIME", runtime_path());
        command.env("USER_ID", Self::USER.to_string());
        command
            .env("FIRST_UID", Self::FIRST_SUBUID.to_string())
            .env("FIRST_GID", Self::FIRST_SUBGID.to_string());
        let prepared = Background::spawn(&mut command).finish();
        assert_eq!(prepared.code, 0, "{}", prepared.stderr);
        Some(Self { enclosure })
    }

    /// What makes a command the user's: `env` and what is set for him, before it.
    pub(crate) fn become_user() -> Vec<String> {
        let user = Self::USER.to_string();
        let words = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "--inh-caps=-all"];
        [&words[..], &["env", "USER=tester"]].concat().into_iter().map(str::to_owned).collect()
    }

    /// A command of the user's.
    pub fn words(&self, words: &[&str]) -> Vec<String> {
        let runtime_directory = format!("XDG_RUNTIME_DIR={}", self.enclosure.at("user/run"));
        let home = format!("HOME={}", self.enclosure.at("user"));
        let words = words.iter().map(|word| (*word).to_owned());
        [Self::become_user(), vec![runtime_directory, home], words.collect()].concat()
    }

    /// The runtime, run by the user.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.enclosure.run(&self.words(&[&[self.enclosure.at("runtime").as_str()], arguments].concat()))
    }

    /// The same, to a good end.
    ///
    /// # Panics
    /// When it ends otherwise.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, 0, "{arguments:?}\n{}\n{}", output.stdout, output.stderr);
        output.stdout
    }

    /// The same on a terminal.
    pub fn pty(&self, arguments: &[&str]) -> Pty {
        self.enclosure.pty(&self.words(&[&[self.enclosure.at("runtime").as_str()], arguments].concat()))
    }

    /// A bundle of the user's: what `spec --rootless` writes, changed.
    ///
    /// # Panics
    /// When it cannot be made.
    #[track_caller]
    pub fn bundle(&self, name: &str, command: &[&str], change: impl FnOnce(&mut Value)) -> String {
        let bundle = self.enclosure.at(&format!("user/{name}"));
        let made = self.enclosure.run(&self.words(&["mkdir", &bundle]));
        assert_eq!(made.code, 0, "{}", made.stderr);
        self.ok(&["spec", "--rootless", "--bundle", &bundle]);
        let path = format!("{bundle}/config.json");
        let text = std::fs::read_to_string(&path).expect("config.json");
        let mut config: Value = serde_json::from_str(&text).expect("JSON");
        config["root"]["path"] = json!(self.enclosure.at("rootfs"));
        config["process"]["args"] = json!(command);
        config["process"]["terminal"] = json!(false);
        change(&mut config);
        std::fs::write(&path, config.to_string()).expect("config.json");
        bundle
    }

    /// Runs a command in a container to its end.
    #[track_caller]
    pub fn container(&self, name: &str, command: &[&str], change: impl FnOnce(&mut Value)) -> Output {
        let bundle = self.bundle(name, command, change);
        let output = self.run(&["run", "--bundle", &bundle, name]);
        self.enclosure.assert_nothing_of(name);
        output
    }
}
