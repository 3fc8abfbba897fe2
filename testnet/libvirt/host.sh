#!/usr/bin/env bash
# The first process of a host of the lab, in namespaces of its own for network, mounts, hostname and processes: gives
# the host folders of its own where libvirt keeps things, starts its daemon, and reaps what has lost its parent. When it
# dies, everything on the host dies with it. Usage: host.sh NAME DIRECTORY HOSTS-FILE
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
# For post-copy QEMU handles its guest's page faults in the kernel. Operators let every user do that
# (vm.unprivileged_userfaultfd), which would hold for the whole machine: here the program of this host has the right, as
# a copy that nobody outside of the namespace can run.
emulator=$(command -v qemu-system-x86_64)
cp "$emulator" /run/emulator
setcap cap_sys_ptrace=ep /run/emulator
mount --bind /run/emulator "$emulator"

# Whoever is in the namespace may drive the daemon; nobody else reaches it.
cat >/etc/libvirt/libvirtd.conf <<END
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
auth_unix_rw = "none"
host_uuid = "$(cat /proc/sys/kernel/random/uuid)"
END
# Without a system's own services: no cgroups, no logging daemon. Owners are not remembered, as the memory of them would
# outlive a host that is killed. The right of the program is not taken from it.
cat >/etc/libvirt/qemu.conf <<END
cgroup_controllers = []
security_driver = "none"
stdio_handler = "file"
remember_owner = 0
clear_emulator_capabilities = 0
END

# Not in its place: the first process takes in orphans, and libvirtd reaps only its own children.
libvirtd --listen &
wait
