# The steps that make a guest image: sourced by build.sh, and by testnet/docker/guestimage.sh inside `docker build`.
image_recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$image_recipe/recipe.sh"

# What an image's folder is named by, so that a changed recipe makes a new one.
recipe_hash() {
  (cd "$image_recipe" && find . -type f | LC_ALL=C sort | xargs sha256sum) | sha256sum | cut -c1-16
}

# In the guest's root: unpacks the kernel into /tmp/kernel, and lists both kinds of modules' paths in the order of
# loading.
unpack_kernel() {
  local package version
  mkdir -p /tmp/kernel/usr
  package=$(apt-cache depends "$kernel_package" | sed -nE 's/^ *Depends: (linux-image-[0-9].*)/\1/p' | head -1)
  (cd /tmp && apt-get download -qq "$package" && dpkg-deb -x "$package"_*.deb kernel && rm "$package"_*.deb)
  ln -sfn ../lib /tmp/kernel/usr/lib
  version=$(ls /tmp/kernel/lib/modules)
  depmod -b /tmp/kernel "$version"
  module_paths "${modules[@]}" >/tmp/module-paths
  module_paths "${nfs_modules[@]}" >/tmp/nfs-module-paths
}

module_paths() {
  local module
  for module in "$@"; do
    modprobe --dirname /tmp/kernel --set-version "$(ls /tmp/kernel/lib/modules)" --show-depends "$module"
  done | sed -nE 's/^insmod ([^ ]+).*/\1/p' | awk '!seen[$0]++'
}

# In the guest's root: puts our programs in, compiled by the guest's own compiler.
install_programs() {
  local program
  mkdir -p /usr/lib/pagemesh
  cp -r "$image_recipe"/guest/. /usr/lib/pagemesh/
  chmod -R a+rX /usr/lib/pagemesh
  chmod +x /usr/lib/pagemesh/init /usr/lib/pagemesh/work/*
  for program in /usr/lib/pagemesh/*.c; do gcc -O2 -Wall -Werror -o "${program%.c}" "$program"; done
}

# Writes IMAGE from what the steps above left in ROOT, whose leftovers go: write_image ROOT IMAGE
write_image() {
  local root=$1 image=$2
  cp "$root"/tmp/kernel/boot/vmlinuz-* "$image/vmlinuz"
  write_initramfs "$root" "$image/initramfs.img"
  mkdir "$image/nfs"
  copy_modules "$root" "$root/tmp/nfs-module-paths" "$image/nfs"
  write_disk "$root" "$image/root.ext4"
}

write_initramfs() {
  local root=$1 file=$2 tree
  tree=$(mktemp -d)
  mkdir -p "$tree"/{bin,dev,proc,sys,modules,lower,upper,root}
  cp "$root/bin/busybox" "$tree/bin/busybox"
  install -m 755 "$image_recipe/initramfs-init" "$tree/init"
  copy_modules "$root" "$root/tmp/module-paths" "$tree/modules"
  (cd "$tree" && find . | LC_ALL=C sort | cpio -o -H newc --quiet --reproducible | gzip -n -1) >"$file"
  rm -rf "$tree"
}

# Copies the modules that LIST names: copy_modules ROOT LIST DIRECTORY
copy_modules() {
  local root=$1 list=$2 directory=$3 number=100 path
  while read -r path; do
    # The number keeps the order of loading in the file name.
    cp "$root$path" "$directory/$number-$(basename "$path")"
    number=$((number + 1))
  done <"$list"
}

write_disk() {
  local root=$1 file=$2 size_kib
  rm -rf "$root/.dockerenv" "$root"/tmp/* "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/*.log
  mkdir -p "$root"/{dev,proc,sys,run,tmp}
  echo guest >"$root/etc/hostname"
  echo '127.0.0.1 localhost guest' >"$root/etc/hosts"
  size_kib=$(du -s --apparent-size --block-size=1K "$root" | cut -f1)
  find "$root" -newermt "@$disk_time" -exec touch --no-dereference --date="@$disk_time" {} +
  # A fifth more for small files' last blocks and ext4's own tables; no journal, it is never written.
  E2FSPROGS_FAKE_TIME=$disk_time mkfs.ext4 -q -d "$root" -O ^has_journal -m 0 -U "$disk_uuid" \
    -E "hash_seed=$disk_uuid" "$file" "$((size_kib * 6 / 5 + 32768))k"
}
