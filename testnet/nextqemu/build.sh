#!/usr/bin/env bash
# Fetches the QEMU of the next Debian release once and prints the path of the program that starts it:
#
#   root/                 what the packages hold, unpacked: QEMU, its firmware, its modules, its libraries and their loader
#   qemu-system-x86_64    runs that QEMU with that loader and those libraries; takes the place of its own first line
#
# Nothing of it is installed and nothing of it runs but QEMU, so no root is needed. The folder is named by a hash over this
# file: a changed recipe makes a new one. It is built beside its place and renamed when whole: an interrupted build leaves
# nothing that could be taken for one.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(cd "$here/../.." && pwd)/.cache
source "$here/../mirror.sh"

release=trixie
qemu_major=10
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

say() { echo "next QEMU: $*" >&2; }
fail() { say "$*"; exit 1; }

program=qemu-system-x86_64
place=$cache/qemu-$qemu_major-$(sha256sum <"${BASH_SOURCE[0]}" | cut -c1-16)
if [[ -d $place ]]; then echo "$place/$program"; exit; fi

[[ $(uname -m) == x86_64 ]] || fail "the lab's guests and QEMU are of x86-64, this machine is $(uname -m)"
for tool in apt-get dpkg-deb flock; do
  command -v "$tool" >/dev/null || fail "$tool is missing: QEMU $qemu_major can be had on Debian and Ubuntu only"
done
[[ -e $keyring ]] || fail "$keyring is missing: run testnet/setup.sh"
from=$(mirror) || true
[[ -n $from ]] || fail 'apt is configured with no Debian mirror: name one in PAGEMESH_DEBIAN_MIRROR'

mkdir -p "$cache"
# One build at a time; whoever waited finds it done.
if [[ ${PAGEMESH_BUILD:-} != qemu ]]; then
  PAGEMESH_BUILD=qemu exec flock "$cache/qemu.lock" bash "${BASH_SOURCE[0]}"
fi
# Standard output is for the path alone, whatever the tools below have to say.
exec 3>&1 >&2
rm -rf "$cache"/fetching-*
work=$cache/fetching-$$
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/apt/{none,lists/partial,archives/partial} "$work/qemu/root"

# apt with lists and a list of installed packages of its own. The latter is empty, so the packages that QEMU needs are all
# of them, the C library included. This machine's apt is left alone, but for its proxy and its trust in Debian's keys.
apt_words=(
  -o "Dir::Etc::sourcelist=$work/apt/sources.list" -o "Dir::Etc::sourceparts=$work/apt/none"
  -o "Dir::Etc::preferencesparts=$work/apt/none" -o Dir::Etc::preferences=none -o APT::Update::Error-Mode=any
  -o "Dir::State=$work/apt" -o "Dir::State::status=$work/apt/status" -o "Dir::State::lists=$work/apt/lists"
  -o "Dir::Cache=$work/apt" -o "Dir::Cache::archives=$work/apt/archives"
  -o APT::Architecture=amd64 -o APT::Architectures=amd64 -o Acquire::Languages=none -o APT::Sandbox::User=
  -o Debug::NoLocking=1
)

# Runs apt-get, whose words go to the terminal only when something is wrong.
apt() {
  apt-get "${apt_words[@]}" -qq "$@" >"$work/apt.log" 2>&1 ||
    { tail -20 "$work/apt.log" >&2; fail "QEMU $qemu_major could not be fetched from $from, see above"; }
}

fetch() {
  : >"$work/apt/status"
  echo "deb [signed-by=$keyring] $from $release main" >"$work/apt/sources.list"
  say "fetching QEMU $qemu_major of Debian $release from $from (under a minute)"
  apt update
  apt --no-install-recommends --download-only --yes install qemu-system-x86
}

unpack() {
  local package
  say "unpacking $(du -sh "$work/apt/archives" | cut -f1)"
  for package in "$work"/apt/archives/*.deb; do dpkg-deb -x "$package" "$work/qemu/root"; done
  # What only an installed system needs.
  rm -rf "$work/qemu/root"/usr/share/{doc,man,locale,info,lintian} "$work/qemu/root"/usr/{sbin,include}
}

write_program() {
  cat >"$work/qemu/$program" <<'PROGRAM'
#!/bin/sh
# QEMU of the next Debian release, out of its own folder. Every step replaces the one before: one process, one id.
root=$(dirname "$(readlink -f "$0")")/root
libraries=$root/usr/lib/x86_64-linux-gnu
export QEMU_MODULE_DIR="$libraries/qemu"
exec "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$root/usr/bin/qemu-system-x86_64" \
  -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" -L "$root/usr/lib/ipxe/qemu" "$@"
PROGRAM
  chmod 755 "$work/qemu/$program"
}

fetch
unpack
write_program
version=$("$work/qemu/$program" --version | head -1) || fail "the fetched QEMU does not run"
[[ $version == "QEMU emulator version $qemu_major."* ]] || fail "Debian $release has another QEMU than $qemu_major: $version"
mv "$work/qemu" "$place"
# Of older recipes the last is kept: guests of another checkout's state may be about to start from it.
find "$cache" -maxdepth 1 -name 'qemu-*' -type d -printf '%T@ %p\n' | sort -rn | tail -n +3 | cut -d' ' -f2- |
  xargs --no-run-if-empty rm -rf
say "$version, $(du -sh "$place" | cut -f1)"
echo "$place/$program" >&3
