#!/usr/bin/env bash
# `npm run test:compose`: test/compose, after providing a container engine and the base image.
#
# Uses the running engine, or else starts its own, whose images and containers are in a temporary folder that is
# removed. Installs engine and compose if they are missing (Debian, Ubuntu). Where no image can be pulled, debootstrap
# makes Debian's, and it is imported under the name in the Dockerfile. Where the test cannot run, says what is missing
# and counts it as skipped.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../mirror.sh"
base_image=$(sed -n 's/^FROM \([^ ]*\)$/\1/p' "$here/Dockerfile")
suite=${base_image#*:}
repository=$(cd "$here/../.." && pwd)
folder=''
engine=''

say() { echo "engine: $*" >&2; }
skip() {
  say "$*"
  echo '0 passed, 0 failed, 1 skipped'
  exit
}

install_engine() {
  local missing=() tool
  for tool in dockerd:docker.io debootstrap:debootstrap; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
  done
  # Ubuntu's debootstrap comes without the keys that Debian's releases are signed with.
  [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || missing+=(debian-archive-keyring)
  command -v docker-compose >/dev/null || docker compose version >/dev/null 2>&1 || missing+=(docker-compose)
  [[ ${#missing[@]} != 0 ]] || return 0
  local line="apt-get install --yes --no-install-recommends ${missing[*]}"
  command -v apt-get >/dev/null || skip "missing here: ${missing[*]}; on Debian or Ubuntu: $line"
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update && $line; } >"$folder/apt.log" 2>&1 || { tail -5 "$folder/apt.log" >&2; skip 'apt-get failed'; }
}

start_engine() {
  # An engine changes the machine's packet forwarding; `end` restores what others could notice.
  forward_before=$(iptables -S FORWARD 2>/dev/null | head -1) || true
  docker0_before=$(ip link show docker0 2>/dev/null || true)
  export DOCKER_HOST=unix://$folder/docker.sock
  PATH=$PATH:/usr/sbin:/sbin dockerd --host "$DOCKER_HOST" --data-root "$folder/data" --exec-root "$folder/exec" \
    --pidfile "$folder/pid" >"$folder/dockerd.log" 2>&1 &
  engine=$!
  local second
  for second in {1..60}; do
    sleep 1
    ! docker info >/dev/null 2>&1 || return 0
    kill -0 "$engine" 2>/dev/null || break
  done
  tail -5 "$folder/dockerd.log" >&2
  skip 'no engine runs here, and none could be started: see above'
}

# Files that the engine holds open go with its containers, which the command has ended.
end() {
  if [[ -n $engine ]]; then
    kill "$engine" 2>/dev/null || true
    wait "$engine" 2>/dev/null || true
    [[ -n $docker0_before ]] || ip link delete docker0 2>/dev/null || true
    # shellcheck disable=SC2086  # it is two options: -P FORWARD and a policy
    iptables ${forward_before:--L FORWARD} >/dev/null 2>&1 || true
  fi
  rm -rf "$folder"
}

# An existing image of that name comes first; then the registry; then debootstrap.
ensure_base_image() {
  ! docker image inspect "$base_image" >/dev/null 2>&1 || return 0
  ! timeout 300 docker pull --quiet "$base_image" >/dev/null 2>&1 || return 0
  say "making $base_image with debootstrap (a minute or so)"
  local root=$folder/root from
  from=$(mirror) || true
  [[ -n $from ]] || skip 'apt is configured with no Debian mirror: name one in PAGEMESH_DEBIAN_MIRROR'
  debootstrap --variant=minbase "$suite" "$root" "$from" \
    >"$folder/debootstrap.log" 2>&1 || { tail -5 "$folder/debootstrap.log" >&2; skip 'debootstrap failed'; }
  # As in Docker's own image: no fsync while a layer is unpacked.
  echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
  # This machine's additional certificates, such as a proxy's.
  [[ ! -d /usr/local/share/ca-certificates ]] || cp -r /usr/local/share/ca-certificates "$root/usr/local/share/"
  tar -C "$root" --exclude='./dev/*' --exclude='./var/cache/apt/archives/*.deb' -c . |
    docker import - "$base_image" >/dev/null
  rm -rf "$root"
}

[[ $(id -u) == 0 ]] || skip 'needs root, for an engine and for debootstrap'
# Images are large, and /tmp may be memory.
folder=$(mktemp -d -p /var/tmp)
trap end EXIT
install_engine
docker info >/dev/null 2>&1 || start_engine
ensure_base_image
cd "$repository"
node_modules/.bin/mocha --reporter ./test/reporter.ts test/compose/compose.test.ts
