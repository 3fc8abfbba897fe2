#!/usr/bin/env bash
# `npm run deb`: makes pagemesh_VERSION_ARCHITECTURE.deb in the root of the checkout, or in the folder that is named, by
# Debian's dpkg-deb alone. It brings the Node that this runs on, Pagemesh compiled with the packages that it needs, its
# kernel in C, and what follows from the tables of commands and options (texts.ts): manual pages, completion, a
# configuration in comments. The same checkout makes the same bytes.
#
# This folder stands in src because it describes what src has: commands, options, the unit. It is not compiled, and npm
# does not publish it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
folder=$(cd "${1:-$repository}" && pwd)
cd "$repository"
export PATH=$repository/node_modules/.bin:$PATH
umask 022

fail() { echo "deb: $*" >&2; exit 1; }

for tool in dpkg-deb:dpkg strip:binutils objdump:binutils; do
  command -v "${tool%%:*}" >/dev/null || fail "${tool%%:*} is missing (package ${tool##*:})"
done
node=$(node -p process.execPath)
kernel=src/page/kernel/kernel-$(node -p 'process.platform + "-" + process.arch').node
version=$(node -p 'require("./package.json").version')
architecture=$(dpkg --print-architecture)
maintainer=${DEBFULLNAME:-$(git log -1 --format=%an)}' <'${DEBEMAIL:-$(git log -1 --format=%ae)}'>'
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

made=$(mktemp -d -p /var/tmp)
trap 'rm -rf "$made"' EXIT
root=$made/root
library=$root/usr/lib/pagemesh
documents=$root/usr/share/doc/pagemesh

# Fills in what templates have between @ and @.
fill() {
  sed -e "s/@version@/$version/" -e "s/@architecture@/$architecture/" -e "s/@maintainer@/$maintainer/" \
    -e "s/@copyright@/$(sed -n 's/^Copyright (c) //p' LICENSE-MIT)/" -e "s/@glibc@/${glibc:-}/" \
    -e "s/@kibibytes@/${kibibytes:-}/" "$1"
}

install_node() {
  local licence
  install -D --mode=755 --strip "$node" "$library/node/bin/node"
  # Beside the binary, wherever that was unpacked: npm's package `node` has it in another of its own.
  licence=$(find -L "$(dirname "$node")/.." node_modules/node -name LICENSE -not -path '*/include/*' | head -1)
  [[ -n $licence ]] || fail "no licence of Node lies near $node"
  install -D --mode=644 "$licence" "$library/node/LICENSE"
}

install_program() {
  tsc -p src --outDir "$library/dist" --declaration false --sourceMap false
  cp package.json "$library/"
  # Without the number and the time of this very build.
  npm sbom --package-lock-only --omit dev --sbom-format cyclonedx --sbom-type application |
    sed -E '/^ *"(serialNumber|timestamp)":/d' >"$library/dist/sbom.cdx.json"
  # The Node of this package, whatever else is installed.
  sed -i '1s|-S node |-S /usr/lib/pagemesh/node/bin/node |' "$library/dist/cli/main.js"
  chmod 755 "$library/dist/cli/main.js"
  node src/page/kernel/build.js
  [[ -e $kernel ]] || fail 'the kernel in C was not compiled, see above'
  install -D --mode=644 --strip "$kernel" "$library/$kernel"
  mkdir -p "$root/usr/bin"
  ln -s ../lib/pagemesh/dist/cli/main.js "$root/usr/bin/pagemesh"
}

# What npm says is needed to run it, without what only compilers and people read. Licences stay.
install_modules() {
  local folder
  # node-api-headers is for compiling the kernel. What is inside of another comes after it.
  npm ls --omit=dev --all --parseable | sed -n "s|^$repository/\(node_modules/\)|\1|p" | grep -v '/node-api-headers$' |
    sort | while read -r folder; do
      mkdir -p "$library/$folder"
      cp -r "$folder/." "$library/$folder/"
      (cd "$library/$folder" && rm -rf node_modules test tests bench benchmarks doc docs example examples)
    done
  find "$library/node_modules" -type f ! -iname 'licen*' \
    ! -name '*.js' ! -name '*.mjs' ! -name '*.cjs' ! -name '*.json' ! -name '*.wasm' ! -name '*.node' -delete
  find "$library/node_modules" -type f \( -name '.*' -o -name '*.min.js' \) -delete
  find "$library/node_modules" -type d -empty -delete
  find "$library/node_modules" -type f -exec chmod 644 {} +
  find "$library/node_modules" -name '*.node' -exec strip --strip-unneeded {} +
}

install_service() {
  # The command of this package, whatever else is on the path.
  install -D --mode=644 src/daemon/pagemesh.service "$root/usr/lib/systemd/system/pagemesh.service"
  sed -i 's|/usr/bin/env pagemesh|/usr/bin/pagemesh|' "$root/usr/lib/systemd/system/pagemesh.service"
}

install_documents() {
  node "$here/texts.ts" "$root"
  gzip -9n "$root"/usr/share/man/man1/*
  mkdir -p "$documents"
  { fill "$here/copyright"; sed -e '1,4d' -e 's/^$/./' -e 's/^/ /' LICENSE-MIT; } >"$documents/copyright"
  printf 'pagemesh (%s) unstable; urgency=medium\n\n  * As its repository has it at this version.\n\n -- %s  %s\n' \
    "$version" "$maintainer" "$(LC_ALL=C date --utc --date="@$SOURCE_DATE_EPOCH" -R)" |
    gzip -9n >"$documents/changelog.gz"
  install -D --mode=644 "$here/lintian-overrides" "$root/usr/share/lintian/overrides/pagemesh"
}

install_control() {
  local glibc kibibytes
  glibc=$(objdump -T "$node" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -uV | tail -1)
  kibibytes=$(du -sk "$root" | cut -f1)
  mkdir "$root/DEBIAN"
  fill "$here/control" >"$root/DEBIAN/control"
  echo /etc/pagemesh/agent.yaml >"$root/DEBIAN/conffiles"
  (cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
  install --mode=755 "$here/postinst" "$here/prerm" "$here/postrm" "$root/DEBIAN/"
}

install_node
install_program
install_modules
install_service
install_documents
install_control
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group --build "$root" "$folder/pagemesh_${version}_$architecture.deb"
