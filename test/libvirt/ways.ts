/** The ways in which a migration of libvirt goes through us, and the kinds of migration that it has. */

/** A way to a host. */
export interface Way {
  /** Words for `pagemesh tunnel`, where it takes one. */
  tunnel?: (to: string) => readonly string[]
  /** Words for `virsh migrate`. */
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
  /** Is told to go over to post-copy once pages pass. */
  postcopy?: true
}

/** MiB a second: slow enough that a migration is still in its pre-copy when something is done to it. */
export const SLOW = ['--bandwidth', '1'] as const

export const KINDS = {
  'directly': { virsh: [] },
  'peer to peer': { virsh: ['--p2p'] },
  'over parallel connections': { virsh: ['--parallel', '--parallel-connections', '3'] },
  'in post-copy': { virsh: ['--postcopy', ...SLOW, '--postcopy-bandwidth', '1000'], postcopy: true },
} as const satisfies Record<string, Kind>
export type KindName = keyof typeof KINDS
