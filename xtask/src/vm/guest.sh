#!/bin/sh
# The first process of the cgroup v2 machine: a host as systemd would leave it, then the tests, then the end.
# What they print goes to the second serial port, which is a file outside.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/tmp LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t tmpfs -o size=1g tmpfs /tmp
mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf 2>/dev/null
mount --make-rshared /
ip link set lo up
hostname cgroup2
modprobe -a overlay veth bridge loop erofs 2>/dev/null
# As a login under systemd: not in the root group.
mkdir -p /sys/fs/cgroup/tests.scope && echo $$ >/sys/fs/cgroup/tests.scope/cgroup.procs

exec >/dev/ttyS1 2>&1 </dev/null
stty -F /dev/ttyS1 raw 2>/dev/null
echo "machine: Linux $(uname -r), controllers: $(cat /sys/fs/cgroup/cgroup.controllers)"
# The harness keeps loaded images beside its sources.
mkdir -p "$(cat /suite/harness)"
export CONEX_TEST_IMAGES=/suite/images CONEX_OWN_CLOCK=1 RUST_BACKTRACE=0 PROPTEST_CASES=32
set --
while IFS= read -r filter || [ -n "$filter" ]; do [ -n "$filter" ] && set -- "$@" "$filter"; done </suite/filters
cd /tmp || exit
for test in /suite/debug/deps/*; do
  # Those that want a systemd have it below.
  case ${test##*/} in *systemd*) continue ;; esac
  echo "     Running ${test##*/}"
  timeout 600 "$test" --show-output --color never "$@" || echo "exit status $? of ${test##*/}"
done
left=$(find /sys/fs/cgroup -mindepth 1 -type d -name 'conex-test*')
[ -z "$left" ] || echo "left behind: $left"

# From here on systemd is the first process, as after a boot of its own.
for mount in /sys/fs/bpf /dev/shm /dev/pts; do umount $mount 2>/dev/null; done
echo $$ >/sys/fs/cgroup/cgroup.procs && rmdir /sys/fs/cgroup/tests.scope
mkdir -p /run/systemd/system
cat >/run/systemd/system/conex-tests.service <<'UNIT'
[Unit]
Requires=basic.target dbus.socket
After=basic.target dbus.socket
FailureAction=poweroff-force
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/suite/systemd.sh
UNIT
exec /usr/lib/systemd/systemd --unit=conex-tests.service --log-target=console --show-status=no </dev/console >/dev/console 2>&1
