#!/bin/sh
# The tests that want a systemd, with one that runs: as root, then as an ordinary user with a systemd of his own.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/tmp LANG=C.UTF-8 RUST_BACKTRACE=0
exec >/dev/ttyS1 2>&1 </dev/null
stty -F /dev/ttyS1 raw 2>/dev/null
echo "machine: $(systemctl --version | head -n 1)"
export CONEX_TEST_IMAGES=/suite/images
set --
while IFS= read -r filter || [ -n "$filter" ]; do [ -n "$filter" ] && set -- "$@" "$filter"; done </suite/filters
cd /tmp || exit
useradd --uid 1000 --user-group --home-dir /tmp --no-create-home tester
systemctl start user@1000.service || {
  echo "exit status $? of the user's systemd"
  systemctl --no-pager --full status user@1000.service
}
for test in /suite/debug/deps/*systemd*; do
  echo "     Running ${test##*/}"
  timeout 600 "$test" --show-output --color never "$@" || echo "exit status $? of ${test##*/}"
done

user() { setpriv --reuid 1000 --regid 1000 --clear-groups env XDG_RUNTIME_DIR=/run/user/1000 HOME=/tmp "$@"; }
test=/suite/debug/deps/systemd
echo "     Running systemd as a user"
user timeout 600 systemd-run --user --scope --quiet "$test" --show-output --color never "$@" || echo "exit status $? of systemd as a user"
# Processes of a login session are not in the user's systemd's own groups.
echo "     Running systemd from outside"
user timeout 600 "$test" --show-output attached || echo "exit status $? of systemd from outside"

echo "end of the tests"
sync
echo o >/proc/sysrq-trigger
sleep 60
