#!/usr/bin/env bash
# The guest image of testnet/image inside `docker build`, which may not mount anything and so has no use for
# debootstrap: a Debian image is its result already. Two steps of the Dockerfile:
#
#   guestimage.sh root              makes the stage that runs it a guest's root
#   guestimage.sh disk ROOT OUT     writes OUT/image-HASH, as testnet/image/build.sh names it, from that root
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
image_recipe=$here/image
source "$image_recipe/recipe.sh"

# What the recipe names, and our programs, compiled by the guest's own compiler.
make_root() {
  export DEBIAN_FRONTEND=noninteractive
  # Servers start when a guest boots, not when it is built.
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
  apt-get update
  apt-get install --yes --no-install-recommends "${packages[@]}"
  rm /usr/sbin/policy-rc.d
  unpack_kernel
  mkdir -p /usr/lib/pagemesh
  cp -r "$image_recipe"/guest/. /usr/lib/pagemesh/
  chmod -R a+rX /usr/lib/pagemesh
  chmod +x /usr/lib/pagemesh/init /usr/lib/pagemesh/work/*
  for program in /usr/lib/pagemesh/*.c; do gcc -O2 -Wall -Werror -o "${program%.c}" "$program"; done
  apt-get clean
  rm -rf /var/lib/apt/lists/* /var/log/*.log
}

# The kernel goes beside the root, its modules' paths in the order of loading with it.
unpack_kernel() {
  local package version
  mkdir -p "$here/kernel/usr"
  package=$(apt-cache depends "$kernel_package" | sed -nE 's/^ *Depends: (linux-image-[0-9].*)/\1/p' | head -1)
  (cd "$here" && apt-get download "$package" && dpkg-deb -x "$package"_*.deb kernel && rm "$package"_*.deb)
  ln -sfn ../lib "$here/kernel/usr/lib"
  version=$(ls "$here/kernel/lib/modules")
  depmod -b "$here/kernel" "$version"
  for module in "${modules[@]}"; do
    modprobe --dirname "$here/kernel" --set-version "$version" --show-depends "$module"
  done | sed -nE 's/^insmod ([^ ]+).*/\1/p' | awk '!seen[$0]++' >"$here/module-paths"
}

write_initramfs() {
  local root=$1 image=$2 tree number=100 path
  tree=$(mktemp -d)
  mkdir -p "$tree"/{bin,dev,proc,sys,modules,lower,upper,root}
  cp "$root/bin/busybox" "$tree/bin/busybox"
  install -m 755 "$image_recipe/initramfs-init" "$tree/init"
  while read -r path; do
    # The number keeps the order of loading in the file name.
    cp "$root$path" "$tree/modules/$number-$(basename "$path")"
    number=$((number + 1))
  done <"$here/module-paths"
  (cd "$tree" && find . | LC_ALL=C sort | cpio -o -H newc --quiet --reproducible | gzip -n -1) >"$image/initramfs.img"
}

write_disk() {
  local root=$1 image=$2 size_kib
  # Docker keeps these for itself while a stage runs.
  echo guest >"$root/etc/hostname"
  echo '127.0.0.1 localhost guest' >"$root/etc/hosts"
  rm -rf "$root/.dockerenv" "$root"/tmp/* "$root/build"
  mkdir -p "$root"/{dev,proc,sys,run,tmp}
  size_kib=$(du -s --apparent-size --block-size=1K "$root" | cut -f1)
  find "$root" -newermt "@$disk_time" -exec touch --no-dereference --date="@$disk_time" {} +
  # A fifth more for small files' last blocks and ext4's own tables; no journal, it is never written.
  E2FSPROGS_FAKE_TIME=$disk_time mkfs.ext4 -q -d "$root" -O ^has_journal -m 0 -U "$disk_uuid" \
    -E "hash_seed=$disk_uuid" "$image/root.ext4" "$((size_kib * 6 / 5 + 32768))k"
}

make_image() {
  local root=$1 out=$2 hash image
  hash=$( (cd "$image_recipe" && find . -type f | LC_ALL=C sort | xargs sha256sum) | sha256sum | cut -c1-16)
  image=$out/image-$hash
  mkdir -p "$image"
  cp "$here"/kernel/boot/vmlinuz-* "$image/vmlinuz"
  write_initramfs "$root" "$image"
  write_disk "$root" "$image"
}

case ${1:-} in
  root) make_root ;;
  disk) make_image "$2" "$3" ;;
  *) echo 'guestimage.sh root | disk ROOT OUT' >&2; exit 2 ;;
esac
