# What a guest image is made of. build.sh reads it; the image's name is a hash over this folder.

# The Debian release inside the guests, whatever the host runs.
suite=bookworm

# A small but real server: web server, key-value store, interpreter, compiler. The rest of a minbase system comes along.
packages=(
  nginx-light redis-server redis-tools python3
  gcc libc6-dev make zlib1g-dev
  procps busybox-static kmod
)

# The kernel's meta package; its image and modules are unpacked, not installed.
kernel_package=linux-image-cloud-amd64

# Loaded in this order by the initramfs; what they depend on is loaded before them.
modules=(virtio_pci virtio_blk ext4 overlay)

# Beside the image, in this order with what they depend on: for a guest that serves NFS to itself.
nfs_modules=(nfsd nfsv4)

# Fixed, so that one recipe built twice from the same packages gives the same disk.
disk_uuid=6d656d6f-7279-4061-8765-706167656d73
disk_time=1700000000
