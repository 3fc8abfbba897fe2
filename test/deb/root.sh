#!/usr/bin/env bash
# Makes a small Debian with systemd once, in .cache, and prints its folder. What is asked for anew, such as another
# release, has another name. Whoever uses it takes a copy.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(cd "$here/../.." && pwd)/.cache
# shellcheck source=testnet/mirror.sh
source "$here/../../testnet/mirror.sh"
# shellcheck source=testnet/packages.sh
source "$here/../../testnet/packages.sh"

suite=bookworm
root=$cache/debian-$(sha256sum "${BASH_SOURCE[0]}" | cut -c1-16)
if [[ -d $root ]]; then echo "$root"; exit; fi
[[ $(id -u) == 0 ]] || fail 'debootstrap needs root'
command -v debootstrap >/dev/null || install_packages debootstrap
mkdir -p "$cache"
# One at a time; whoever waited finds it done.
if [[ ${PAGEMESH_BUILD:-} != locked ]]; then
  PAGEMESH_BUILD=locked exec flock "$cache/debian.lock" bash "${BASH_SOURCE[0]}"
fi
from=$(mirror) || true
[[ -n $from ]] || fail 'apt is configured with no Debian mirror: name one in PAGEMESH_DEBIAN_MIRROR'
proxy=$(apt-config shell proxy Acquire::http::Proxy 2>/dev/null | sed -n "s/^proxy='\(.*\)'$/\1/p")
rm -rf "$cache"/bootstrap-*
made=$cache/bootstrap-$$
log=$(mktemp)
trap 'rm -rf "$made" "$log"' EXIT
${proxy:+env http_proxy="$proxy"} debootstrap --variant=minbase --include=systemd,iproute2 "$suite" "$made" "$from" \
  >"$log" 2>&1 || { tail -20 "$log" >&2; fail 'debootstrap failed, see above'; }
rm -rf "$made"/var/cache/apt/* "$made"/var/lib/apt/lists/* "$made"/dev/*
# It lives for a minute: there is nothing to lose at a power failure.
echo force-unsafe-io >"$made/etc/dpkg/dpkg.cfg.d/unsafe-io"
mv "$made" "$root"
echo "$root"
