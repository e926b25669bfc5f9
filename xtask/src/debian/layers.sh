#!/bin/sh
# The upper five layers of the image `debian-python`, each what a step of a Dockerfile would change, as OUT/2.tar to
# OUT/6.tar; OUT/1.tar is there already. All steps happen in memory, in a mount namespace of their own: nothing is left,
# however this ends. PACKAGES/N has the package files of step N.
set -eu
umask 022
mkdir "$OUT/work"
mount -t tmpfs -o mode=755 none "$OUT/work"
cd "$OUT/work"
mkdir 1 root
tar --extract --preserve-permissions --numeric-owner --xattrs --xattrs-include='*' --file "$OUT/1.tar" --directory 1
lower=1

inside() {
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive PYTHONHASHSEED=0 \
    chroot root "$@" </dev/null
}

# Runs a step upon the layers so far and packs what it has changed.
layer() {
  number=$1 step=$2
  mkdir "$number" "scratch$number"
  mount -t overlay -o "lowerdir=$lower,upperdir=$number,workdir=scratch$number,redirect_dir=off,metacopy=off" none root
  mount -t proc none root/proc
  "$step"
  umount root/proc root
  # The lower directory of the next step keeps overlayfs' marks.
  cp --archive "$number" packed
  whiteouts
  tar --create --file "$OUT/$number.tar" --directory packed --format=posix --sort=name --numeric-owner \
    --xattrs --xattrs-include=security.capability --clamp-mtime --mtime="@$SOURCE_DATE_EPOCH" \
    --pax-option='exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime' .
  rm -rf packed
  lower=$number:$lower
}

# Overlayfs' marks become those of image-spec's layer.md. It calls all new directories opaque: only those that hide one count.
whiteouts() {
  find packed -type c | while IFS= read -r path; do
    [ "$(stat -c %t:%T "$path")" = 0:0 ] || continue
    rm "$path"
    : >"${path%/*}/.wh.${path##*/}"
  done
  getfattr -R -h -n trusted.overlay.opaque packed 2>/dev/null | sed -n 's/^# file: //p' | while IFS= read -r path; do
    for below in $(echo "$lower" | tr : ' '); do
      [ ! -d "$below/${path#*/}" ] || : >"$path/.wh..wh..opq"
    done
  done
}

# `RUN apt-get install …`, from package files. Logs and caches have the time in them.
packages() {
  mount --bind "$PACKAGES/$number" root/mnt
  inside sh -c 'apt-get install --quiet --yes --no-install-recommends -o APT::Sandbox::User=root /mnt/*.deb' >"$OUT/log" 2>&1 ||
    { cat "$OUT/log" >&2; exit 1; }
  umount root/mnt
  inside sh -c 'rm -rf /var/log/* /var/cache/apt/* /var/cache/ldconfig/aux-cache /var/lib/dpkg/*-old /var/cache/debconf/*-old'
}

# `RUN rm …`: files, directories, all of a directory but one file, and what is replaced by something of another kind.
clean() {
  inside sh -euc '
    rm -r /usr/lib/python3.*/pydoc_data /usr/lib/python3/dist-packages/pygments/lexers/__pycache__
    rm -r /usr/share/bash-completion /var/lib/apt/lists
    rm /etc/issue /etc/issue.net /usr/lib/os-release
    cp -p /usr/share/zoneinfo/Etc/UTC /tmp/UTC
    rm -rf /usr/share/zoneinfo
    mkdir -p /usr/share/zoneinfo/Etc
    mv /tmp/UTC /usr/share/zoneinfo/Etc/UTC
    rm -rf /usr/share/common-licenses /opt
    echo "see https://www.debian.org/legal/licenses/" >/usr/share/common-licenses
    ln -s usr/local /opt
    rm /etc/localtime 2>/dev/null || :
    mkdir /etc/localtime'
}

# `COPY app /app`: a program, and beside it one of everything that a layer may hold.
app() {
  mkdir -p root/app/odd/deep/er root/app/odd/shared root/app/odd/empty
  cp "$OUT/main.py" root/app/main.py
  cd root/app/odd
  echo one >one
  ln one deep/two
  ln -s ../main.py link
  ln -s /nowhere/at/all dangling
  mkfifo fifo
  mknod zero c 1 5
  : >nothing
  echo name >"$(printf 'n%.0s' $(seq 200))"
  echo name >"deep/er/with spaces, Ünicode and a = sign"
  head -c 3000000 /dev/zero >zeros
  cp /bin/true setuid
  cp ../../usr/bin/id bind
  chown -R 1000:1000 ..
  chown 70000:80000 one
  chmod 4755 setuid
  chmod 3777 shared
  chmod 0 nothing
  touch -d '2001-02-03 04:05:06.789012345 UTC' one
  touch -h -d '1969-12-31 23:00:00 UTC' dangling
  cd "$OUT/work"
  # CAP_NET_BIND_SERVICE, permitted and effective, as setcap(8) writes it.
  inside python3 -c 'import os; os.setxattr("/app/odd/bind", "security.capability",
    bytes.fromhex("0100000200040000000000000000000000000000"))'
}

layer 2 packages
layer 3 packages
layer 4 packages
layer 5 clean
layer 6 app
