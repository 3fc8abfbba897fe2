#!/usr/bin/env bash
# Prints the path of promtool, Prometheus' own checks. Where this system has none, the one of Debian's package prometheus
# is fetched once and kept in .cache: installing the package would run a Prometheus here. Exits 1, saying what to do,
# where it cannot be had.
set -euo pipefail

cache=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.cache
kept=$cache/promtool

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

if command -v promtool; then exit; fi
if [[ -x $kept ]]; then echo "$kept"; exit; fi

for tool in apt-get dpkg-deb; do
  command -v "$tool" >/dev/null || fail 'promtool is missing: put that of Prometheus 2.42 or later into the PATH'
done
mkdir -p "$cache"
work=$(mktemp -d "$cache/promtool-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

# Lists of packages may be missing or old. Only root may renew them.
download() { apt-get -o APT::Sandbox::User= download prometheus; }
say 'fetching promtool (a few seconds)'
if ! download >log 2>&1 && ! { apt-get update >>log 2>&1 && download >>log 2>&1; }; then
  tail -20 log >&2
  fail 'promtool could not be fetched, see above; as root, run: apt-get update'
fi
dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
# Renamed when whole: whoever is interrupted leaves nothing that could be taken for it.
mv usr/bin/promtool "$kept"
echo "$kept"
