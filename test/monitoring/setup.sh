#!/usr/bin/env bash
# Prints the path of promtool, Prometheus' own checks, or of the program that is named: prometheus. Where this system has
# none, the one of Debian's package prometheus is fetched once and kept in .cache: installing the package would run a
# Prometheus here. Exits 1, saying what to do, where it cannot be had.
set -euo pipefail

cache=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.cache
program=${1:-promtool}
kept=$cache/$program

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

if command -v "$program"; then exit; fi
if [[ -x $kept ]]; then echo "$kept"; exit; fi

for tool in apt-get dpkg-deb; do
  command -v "$tool" >/dev/null || fail "$program is missing: put that of Prometheus 2.42 or later into the PATH"
done
mkdir -p "$cache"
work=$(mktemp -d "$cache/prometheus-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

# Lists of packages may be missing or old. Only root may renew them.
download() { apt-get -o APT::Sandbox::User= download prometheus; }
say "fetching $program (a few seconds)"
if ! download >log 2>&1 && ! { apt-get update >>log 2>&1 && download >>log 2>&1; }; then
  tail -20 log >&2
  fail "$program could not be fetched, see above; as root, run: apt-get update"
fi
dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x "./usr/bin/$program"
# Renamed when whole: whoever is interrupted leaves nothing that could be taken for it.
mv "usr/bin/$program" "$kept"
echo "$kept"
