#!/bin/sh
# `begin.sh ROOT COMMAND...`, in namespaces of its own: makes ROOT the root of all that it sees and runs COMMAND there.
# What is to be seen of this machine's kernel can be read only.
set -e
root=$1
shift
mount --make-rprivate /
ip link set lo up
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do
  touch "dev/$name"
  mount --bind "/dev/$name" "dev/$name"
done
ln -s /proc/self/fd dev/fd
pivot_root . .
umount -l .
cd /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"
