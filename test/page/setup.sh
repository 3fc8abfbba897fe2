#!/usr/bin/env bash
# Makes this machine ready for the tests of the page: Debian's Chromium. Exits 1, with the one line to run, if it may
# not install.
set -euo pipefail

# shellcheck source=testnet/packages.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../testnet/packages.sh"

command -v chromium >/dev/null || install_packages chromium
