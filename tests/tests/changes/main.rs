//! `diff`, `commit`, `export`, `import`: what a container has written, as a list, an image, an archive.

mod archives;
mod commit;
mod diff;
mod hostile;

use conex_tests::Conex;

/// Every kind of change that a layer can hold.
const SCRIPT: &str = r#"
set -e
mkdir -p /work/deep/er
echo hello > /work/file
ln /work/file /work/hard
ln -s /etc/shadow /work/link
mkfifo /work/fifo
mknod /work/null c 1 3
mknod /work/disk b 7 200
chmod 4755 /work/deep; chown 1000:2000 /work/deep
touch -d '2001-02-03 04:05:06' /work/deep/er
echo more >> /etc/passwd
rm /etc/motd
rm -rf /media
rm -rf /opt; mkdir /opt; echo new > /opt/only
rm -rf /var/cache; mkdir /var/cache
mv /etc/issue /etc/issue.old
chmod 600 /etc/shells; chmod 644 /etc/shells
chmod 700 /srv
n=$(printf '%0120d' 7); mkdir -p "/work/$n/$n"; echo long > "/work/$n/$n/$n"
"#;

/// What names, types, modes, owners, times, links and contents a container sees, one line a file. The engine makes a mount
/// point in /etc, whose own time says nothing therefore.
const LOOK: &str = r"
own() { grep -v -e /etc/resolv.conf -e /etc/hostname -e /etc/hosts -e '^/etc directory'; }
for d in /bin /etc /media /opt /srv /usr /var /work; do
    [ ! -e $d ] || find $d -xdev -exec stat -c '%n %F %a %u:%g %t:%T %Y %s' {} \;
done | own | sort
find /bin /etc /opt /work -type f 2>/dev/null | own | sort | xargs md5sum
find /work -type l -exec readlink {} \; 2>/dev/null
true
";

fn changed(conex: &Conex) -> Option<&'static str> {
    let alpine = conex.alpine()?;
    // It makes device nodes.
    conex.ok(&["run", "--name", "box", "--cap-add", "MKNOD", alpine, "sh", "-c", SCRIPT]);
    Some(alpine)
}
