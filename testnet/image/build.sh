#!/usr/bin/env bash
# Builds the guest image once and prints the folder that holds it:
#
#   vmlinuz         Debian's cloud kernel, as distributed
#   initramfs.img   busybox, a handful of modules, and the way to the root disk
#   nfs/            modules of an NFS server and client, named in the order of loading
#   root.ext4       a debootstrapped Debian with what recipe.sh names, only ever opened read-only
#
# The folder is named by a hash over testnet/image, so a changed recipe makes a new image. The build happens in
# a folder beside it that is renamed when whole: an interrupted build leaves nothing that could be taken for one.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(cd "$here/../.." && pwd)/.cache
source "$here/steps.sh"
source "$here/../mirror.sh"

say() { echo "image: $*" >&2; }
fail() { say "$*"; exit 1; }

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

build_root
cp -r "$here" "$root/tmp/image"
say 'fetching the kernel'
mount -t proc proc "$root/proc"
chroot "$root" bash -euc 'source /tmp/image/steps.sh; apt-get update -qq; unpack_kernel; install_programs' \
  >"$work/steps.log" 2>&1 || { tail -20 "$work/steps.log" >&2; fail 'the steps in the new root failed, see above'; }
umount "$root/proc"
say 'writing the disk'
rm -f "$root/etc/apt/apt.conf.d/90proxy"
TMPDIR=$work write_image "$root" "$work/image"
mv "$work/image" "$image"
# Of older recipes the last is kept: guests of another checkout's state may be about to start from it.
find "$cache" -maxdepth 1 -name 'image-*' -type d -printf '%T@ %p\n' | sort -rn | tail -n +3 | cut -d' ' -f2- |
  xargs --no-run-if-empty rm -rf
say "built $(du -sh "$image" | cut -f1)"
echo "$image" >&3
