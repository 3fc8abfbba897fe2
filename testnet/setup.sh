#!/usr/bin/env bash
# Makes this machine ready for the lab: QEMU, the user of the agents, the tools for building the guest image, Node
# modules, the image itself, and a newer QEMU, which is kept in .cache and not installed. Installs only what is missing,
# so that running it again costs a moment. Exits 1, with the one line to run, if it may not or cannot install.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# shellcheck source=testnet/packages.sh
source "$repository/testnet/packages.sh"

# A command that the lab uses, and the Debian package that brings it.
needed=(
  qemu-system-x86_64:qemu-system-x86
  ip:iproute2
  tc:iproute2
  debootstrap:debootstrap
  mkfs.ext4:e2fsprogs
  cpio:cpio
  unshare:util-linux
  flock:util-linux
  setpriv:util-linux
  useradd:passwd
  mount:mount
  nft:nftables
)

missing_packages() {
  local entry
  for entry in "${needed[@]}"; do
    # Debian keeps administrators' commands outside of a plain user's PATH.
    PATH=$PATH:/usr/sbin:/sbin command -v "${entry%%:*}" >/dev/null || echo "${entry##*:}"
  done | sort -u | tr '\n' ' '
  # Ubuntu's debootstrap comes without the keys that Debian's releases are signed with.
  [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || echo -n 'debian-archive-keyring '
}

install_modules() {
  [[ ! -d $repository/node_modules/.bin ]] || return 0
  command -v npm >/dev/null || fail 'npm is missing: install Node 20 or later with npm'
  say 'installing Node modules'
  (cd "$repository" && npm ci --no-audit --no-fund --loglevel=error >&2)
}

# The lab's agents run as the user of their service.
make_user() {
  local user
  user=$(sed -n 's/^User=//p' "$repository/src/daemon/pagemesh.service")
  ! id "$user" >/dev/null 2>&1 || return 0
  local line="useradd --system --home-dir /var/lib/pagemesh --no-create-home --shell /usr/sbin/nologin $user"
  [[ $(id -u) == 0 ]] || fail "as root, run: $line"
  PATH=$PATH:/usr/sbin:/sbin $line
}

# shellcheck disable=SC2046  # words are meant to split
install_packages $(missing_packages)
make_user
install_modules
bash "$repository/testnet/image/build.sh" >/dev/null
bash "$repository/testnet/nextqemu/build.sh" >/dev/null ||
  say 'going on without it: only the tests of two QEMU versions need it, and those will fail'
say 'ready'
