#!/usr/bin/env bash
# The first process of a host of the lab, in its own namespaces for network, mounts, hostname and processes: mounts its
# own folders over libvirt's, starts libvirtd, and reaps orphans. When it dies, everything on the host dies with it.
# Usage: host.sh NAME DIRECTORY HOSTS-FILE
set -euo pipefail

name=$1 directory=$2 hosts=$3

hostname "$name"
mount --make-rprivate /
mount -t proc proc /proc
mkdir -p "$directory"/{etc,lib,cache,log}
mount --bind "$directory/etc" /etc/libvirt
mount --bind "$directory/lib" /var/lib/libvirt
mount --bind "$directory/cache" /var/cache
mount --bind "$directory/log" /var/log
mount --bind "$hosts" /etc/hosts
mount -t tmpfs -o mode=755 tmpfs /run
# For post-copy, QEMU handles its guest's page faults in the kernel. Operators allow that to every user
# (vm.unprivileged_userfaultfd), which would apply to the whole machine: here this host's copy of the QEMU program has
# the capability instead, which nobody outside of the namespace can run.
emulator=$(command -v qemu-system-x86_64)
cp "$emulator" /run/emulator
setcap cap_sys_ptrace=ep /run/emulator
mount --bind /run/emulator "$emulator"

# Any process in the namespace may drive libvirtd; no other reaches it.
cat >/etc/libvirt/libvirtd.conf <<END
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
auth_unix_rw = "none"
host_uuid = "$(cat /proc/sys/kernel/random/uuid)"
END
# There are no system services here: no cgroups, no logging daemon. Owners are not remembered, because that record would
# outlive a host that is killed. The program keeps its capability.
cat >/etc/libvirt/qemu.conf <<END
cgroup_controllers = []
security_driver = "none"
stdio_handler = "file"
remember_owner = 0
clear_emulator_capabilities = 0
END

# No exec: the first process gets orphans, and libvirtd reaps only its own children.
libvirtd --listen &
wait
