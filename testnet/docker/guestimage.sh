#!/usr/bin/env bash
# The guest image of testnet/image inside `docker build`, which may not mount anything: a Debian base image takes the
# place of debootstrap. Two steps of the Dockerfile, which has testnet/image in /tmp/image:
#
#   guestimage.sh root              makes the stage that runs it a guest's root
#   guestimage.sh disk ROOT OUT     writes OUT/image-HASH, as testnet/image/build.sh names it, from that root
set -euo pipefail

make_root() {
  source /tmp/image/steps.sh
  export DEBIAN_FRONTEND=noninteractive
  # Servers start when a guest boots, not when it is built.
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
  apt-get update
  apt-get install --yes --no-install-recommends "${packages[@]}"
  rm /usr/sbin/policy-rc.d
  unpack_kernel
  install_programs
}

make_image() {
  local root=$1 out=$2 image
  source "$root/tmp/image/steps.sh"
  image=$out/image-$(recipe_hash)
  mkdir -p "$image"
  write_image "$root" "$image"
}

case ${1:-} in
  root) make_root ;;
  disk) make_image "$2" "$3" ;;
  *) echo 'guestimage.sh root | disk ROOT OUT' >&2; exit 2 ;;
esac
