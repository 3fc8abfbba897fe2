/** The ways in which a libvirt migration passes through the agents, and libvirt's kinds of migration. */

/** A way to a host. */
export interface Way {
  /** Arguments of `pagemesh tunnel`, if the way needs one. */
  tunnel?: (to: string) => readonly string[]
  /** Arguments of `virsh migrate`. */
  virsh: (to: string) => readonly string[]
}

export const WAYS = {
  'by a loopback address': {
    tunnel: () => ['--path', '127.64.0.2:20500', '--remote-path', '127.64.0.9:20500'],
    virsh: () => ['--migrateuri', 'tcp://127.64.0.2:20500', '--listen-address', '127.64.0.9'],
  },
  'by a socket': {
    tunnel: (to) => ['--path', `/run/pagemesh/${to}/web`],
    virsh: (to) => ['--migrateuri', `unix:///run/pagemesh/${to}/web`],
  },
  'by interception': { virsh: () => [] },
} as const satisfies Record<string, Way>
export type WayName = keyof typeof WAYS

export interface Kind {
  virsh: readonly string[]
  /** Switched to post-copy once pages pass. */
  postcopy?: true
}

/** Arguments for 1 MiB a second: slow enough to act on a migration during pre-copy. */
export const SLOW = ['--bandwidth', '1'] as const

export const KINDS = {
  'directly': { virsh: [] },
  'peer to peer': { virsh: ['--p2p'] },
  'over parallel connections': { virsh: ['--parallel', '--parallel-connections', '3'] },
  'in post-copy': { virsh: ['--postcopy', ...SLOW, '--postcopy-bandwidth', '1000'], postcopy: true },
} as const satisfies Record<string, Kind>
export type KindName = keyof typeof KINDS
