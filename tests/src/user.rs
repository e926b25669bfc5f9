//! An ordinary user on a host with networks: his own /etc with ranges of ids, a /run/user, and a tun device, as hosts have them.

use crate::{Conex, NetHost, Rootless, Yard, images, lacks};

/// In the host's mount namespace.
const PREPARE: &str = r#"
set -e
mount -t tmpfs -o mode=755 tmpfs /mnt
cp -a /etc /mnt/etc
echo "tester:x:$USER_ID:$USER_ID::/mnt/home:/bin/sh" >>/mnt/etc/passwd
echo "tester:x:$USER_ID:" >>/mnt/etc/group
echo "tester:$FIRST_UID:65536" >>/mnt/etc/subuid
echo "tester:$FIRST_GID:65536" >>/mnt/etc/subgid
mount --bind /mnt/etc /etc
mkdir -p /mnt/dev/net
mount -t tmpfs -o dev,mode=755 tmpfs /mnt/dev/net
mknod -m 666 /mnt/dev/net/tun c 10 200
mkdir -p /dev/net
mount --bind /mnt/dev/net /dev/net
touch /mnt/conex /mnt/image.tar
mount --bind "$BINARY" /mnt/conex
mount --bind "$IMAGE" /mnt/image.tar
ip route add default via 192.0.2.2
ip route add default via 2001:db8::2
chown -R "$USER_ID:$USER_ID" "$SCRATCH"
"#;

impl Yard {
    /// The same for an ordinary user. `None`, with a word why, where there can be none.
    ///
    /// # Panics
    /// When his files cannot be made.
    pub fn of_user() -> Option<Self> {
        if let Some(program) = lacks(&["newuidmap", "newgidmap", "setpriv", "pasta", "slirp4netns"]) {
            println!("skipped: {program} is not installed");
            return None;
        }
        let Some(archive) = images::archive("busybox-1.38-musl.oci.tar") else {
            println!("skipped: no busybox image (CONEX_TEST_IMAGES)");
            return None;
        };
        let host = NetHost::new()?;
        let conex = host.conex().of(&Rootless::become_user(), "/mnt/conex");
        let ids = format!(
            "USER_ID={}; FIRST_UID={}; FIRST_GID={}",
            Rootless::USER,
            Rootless::FIRST_SUBUID,
            Rootless::FIRST_SUBGID
        );
        let files = format!(
            "BINARY='{}'; IMAGE='{}'; SCRATCH='{}'",
            Conex::binary().display(),
            archive.display(),
            conex.scratch().display()
        );
        host.sh(&format!("{ids}; {files}; {PREPARE}"));
        conex.ok(&["load", "--quiet", "-i", "/mnt/image.tar"]);
        Some(Self { conex, image: "busybox:1.38.0-musl", host })
    }
}

/// An ordinary user's [`Yard`], or the end of the test.
#[macro_export]
macro_rules! user_yard {
    () => {
        $crate::yard!($crate::Yard::of_user())
    };
}
