#!/usr/bin/env bash
# Builds the guest image once and prints the folder that holds it:
#
#   vmlinuz         Debian's cloud kernel, as distributed
#   initramfs.img   busybox, a handful of modules, and the way to the root disk
#   root.ext4       a debootstrapped Debian with what recipe.sh names, only ever opened read-only
#
# The folder is named by a hash over testnet/image, so a changed recipe makes a new image. The build happens in
# a folder beside it that is renamed when whole: an interrupted build leaves nothing that could be taken for one.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(cd "$here/../.." && pwd)/.cache
source "$here/recipe.sh"

say() { echo "image: $*" >&2; }
fail() { say "$*"; exit 1; }

recipe_hash() {
  (cd "$here" && find . -type f | LC_ALL=C sort | xargs sha256sum) | sha256sum | cut -c1-16
}

image=$cache/image-$(recipe_hash)
if [[ -d $image ]]; then echo "$image"; exit; fi

[[ $(id -u) == 0 ]] ||
  fail 'building the guest image needs root (debootstrap makes device nodes): run testnet/setup.sh as root once'
for tool in debootstrap mkfs.ext4 cpio unshare flock; do
  command -v "$tool" >/dev/null || fail "$tool is missing: run testnet/setup.sh"
done

mkdir -p "$cache"
# One build at a time; whoever waited finds it done.
if [[ ${PAGEMESH_BUILD:-} != locked ]]; then
  # A mount namespace of our own: whatever a build mounts is gone with its last process, even when it is killed.
  PAGEMESH_BUILD=locked exec flock "$cache/image.lock" unshare --mount --propagation private bash "${BASH_SOURCE[0]}"
fi
# Standard output is for the folder's name alone, whatever the tools below have to say.
exec 3>&1 >&2
rm -rf "$cache"/building-*
work=$cache/building-$$
root=$work/root
trap 'umount "$root/proc" 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir -p "$work/image"

# The Debian mirror that this machine's apt uses, or PAGEMESH_DEBIAN_MIRROR.
mirror() {
  if [[ -n ${PAGEMESH_DEBIAN_MIRROR:-} ]]; then echo "$PAGEMESH_DEBIAN_MIRROR"; return; fi
  {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
      sed -nE 's/^deb +(\[[^]]*\] *)?([^ ]+) .*$/\2/p'
    cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -nE 's/^URIs: *([^ ]+).*$/\1/p'
  } | grep -E '/debian(/.*)?$' | grep -v security | head -1
}

build_root() {
  local from proxy
  from=$(mirror) || true
  [[ -n $from ]] || fail 'apt is configured with no Debian mirror: name one in PAGEMESH_DEBIAN_MIRROR'
  proxy=$(apt-config shell proxy Acquire::http::Proxy 2>/dev/null | sed -n "s/^proxy='\(.*\)'$/\1/p")
  say "bootstrapping Debian $suite from $from (a minute or two)"
  local included
  included=$(IFS=,; echo "${packages[*]}")
  # debootstrap's own log goes to the terminal only when something is wrong.
  ${proxy:+env http_proxy="$proxy"} debootstrap --variant=minbase --include="$included" "$suite" "$root" "$from" \
    >"$work/debootstrap.log" 2>&1 || { tail -20 "$work/debootstrap.log" >&2; fail 'debootstrap failed, see above'; }
  if [[ -n $proxy ]]; then echo "Acquire::http::Proxy \"$proxy\";" >"$root/etc/apt/apt.conf.d/90proxy"; fi
}

# Unpacks the kernel beside the root, resolves its modules, and leaves their paths in loading order.
unpack_kernel() {
  say 'fetching the kernel'
  mount -t proc proc "$root/proc"
  chroot "$root" bash -euc '
    apt-get update -qq
    cd /tmp && mkdir kernel
    package=$(apt-cache depends '"$kernel_package"' | sed -nE "s/^ *Depends: (linux-image-[0-9].*)/\1/p" | head -1)
    apt-get download -qq "$package"
    dpkg-deb -x "$package"_*.deb kernel
    mkdir -p kernel/usr && ln -sfn ../lib kernel/usr/lib
    version=$(ls kernel/lib/modules)
    depmod -b /tmp/kernel "$version"
    for module in '"${modules[*]}"'; do
      modprobe --dirname /tmp/kernel --set-version "$version" --show-depends "$module"
    done | sed -nE "s/^insmod ([^ ]+).*/\1/p" | awk "!seen[\$0]++" >module-paths
  ' >"$work/kernel.log" 2>&1 || { tail -20 "$work/kernel.log" >&2; fail 'unpacking the kernel failed, see above'; }
  umount "$root/proc"
  cp "$root"/tmp/kernel/boot/vmlinuz-* "$work/image/vmlinuz"
}

build_initramfs() {
  local tree=$work/initramfs path
  mkdir -p "$tree"/{bin,dev,proc,sys,modules,lower,upper,root}
  cp "$root/bin/busybox" "$tree/bin/busybox"
  install -m 755 "$here/initramfs-init" "$tree/init"
  local number=100
  while read -r path; do
    # The number keeps the order of loading in the file name.
    cp "$root$path" "$tree/modules/$number-$(basename "$path")"
    number=$((number + 1))
  done <"$root/tmp/module-paths"
  (cd "$tree" && find . | LC_ALL=C sort | cpio -o -H newc --quiet --reproducible | gzip -n -1) \
    >"$work/image/initramfs.img"
}

# Puts our programs in, compiled by the guest's own compiler, and takes the build's leftovers out.
finish_root() {
  mkdir -p "$root/usr/lib/pagemesh"
  cp -r "$here"/guest/. "$root/usr/lib/pagemesh/"
  chmod -R a+rX "$root/usr/lib/pagemesh"
  chmod +x "$root/usr/lib/pagemesh/init" "$root"/usr/lib/pagemesh/work/*
  chroot "$root" bash -euc '
    cd /usr/lib/pagemesh
    for program in *.c; do gcc -O2 -Wall -Werror -o "${program%.c}" "$program"; done
    apt-get clean
    rm -rf /var/lib/apt/lists/* /tmp/* /var/log/*.log /etc/apt/apt.conf.d/90proxy
    echo guest >/etc/hostname
    echo "127.0.0.1 localhost guest" >/etc/hosts
  '
}

build_disk() {
  say 'writing the disk'
  local size_kib
  size_kib=$(du -s --apparent-size --block-size=1K "$root" | cut -f1)
  find "$root" -newermt "@$disk_time" -exec touch --no-dereference --date="@$disk_time" {} +
  # A fifth more for small files' last blocks and ext4's own tables; no journal, it is never written.
  E2FSPROGS_FAKE_TIME=$disk_time mkfs.ext4 -q -d "$root" -O ^has_journal -m 0 -U "$disk_uuid" \
    -E "hash_seed=$disk_uuid" "$work/image/root.ext4" "$((size_kib * 6 / 5 + 32768))k"
}

build_root
unpack_kernel
build_initramfs
finish_root
build_disk
mv "$work/image" "$image"
# Of older recipes the last is kept: guests of another checkout's state may be about to start from it.
find "$cache" -maxdepth 1 -name 'image-*' -type d -printf '%T@ %p\n' | sort -rn | tail -n +3 | cut -d' ' -f2- |
  xargs --no-run-if-empty rm -rf
say "built $(du -sh "$image" | cut -f1)"
echo "$image" >&3
