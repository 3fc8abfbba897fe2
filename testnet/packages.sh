# To be sourced by what makes this machine ready for the lab.

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

# Installs these Debian packages; exits 1, with the one line to run, where it may not or cannot.
install_packages() {
  [[ $# -gt 0 ]] || return 0
  local log line="apt-get update && apt-get install --yes --no-install-recommends $*"
  command -v apt-get >/dev/null || fail "missing here: $*; on Debian or Ubuntu: $line"
  [[ $(id -u) == 0 ]] || fail "as root, run: $line"
  say "installing $* (a minute or so)"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  if ! { apt-get update && apt-get install --yes --no-install-recommends "$@"; } >"$log" 2>&1; then
    tail -20 "$log" >&2
    rm -f "$log"
    fail 'apt-get failed, see above'
  fi
  rm -f "$log"
}
