/** The libvirt commands for the same move, in one line, as in the daemon's README. */
export const WITH_LIBVIRT = 'The same with libvirt, between hosts with an agent each: ' +
  '`pagemesh tunnel --to host-b --path 127.64.0.2:20500 --remote-path 127.64.0.9:20500`, then ' +
  '`virsh migrate --live web qemu+ssh://host-b/system --migrateuri tcp://127.64.0.2:20500 ' +
  '--listen-address 127.64.0.9`.'
