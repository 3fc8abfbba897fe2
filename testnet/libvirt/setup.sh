#!/usr/bin/env bash
# Makes this machine ready for the lab of libvirt, after testnet/setup.sh: libvirt's daemon and client, and the user of
# its QEMUs. Packages that would start a daemon on this machine are left out: the lab starts its own in namespaces.
# Exits 1, with the one line to run, if it may not install.
set -euo pipefail

# shellcheck source=testnet/packages.sh
source "$(dirname "${BASH_SOURCE[0]}")/../packages.sh"

packages=(libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients nftables libcap2-bin)
user=libvirt-qemu

# Debian keeps administrators' commands outside of a plain user's PATH.
PATH=$PATH:/usr/sbin:/sbin

missing() {
  local name
  for name in libvirtd virsh nft setcap; do command -v "$name" >/dev/null || echo "$name"; done
  [[ -n $(find /usr/lib -path '*/libvirt/connection-driver/libvirt_driver_qemu.so' 2>/dev/null) ]] || echo driver
}

if [[ -n $(missing) ]]; then install_packages "${packages[@]}"; fi

# Mount points for the lab's own folders.
for folder in /etc/libvirt /var/lib/libvirt; do
  [[ -d $folder ]] || mkdir -p "$folder" || fail "as root, run: mkdir -p $folder"
done

if ! id "$user" >/dev/null 2>&1; then
  line="useradd --system --user-group --home-dir /var/lib/libvirt --no-create-home --shell /usr/sbin/nologin $user"
  [[ $(id -u) == 0 ]] || fail "as root, run: $line"
  $line
fi
say 'ready for libvirt'
