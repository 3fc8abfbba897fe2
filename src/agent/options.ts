import type { Managed } from '../guest/index.ts'
import type { PortRange } from '../net/portranges.ts'
import type { CompressionMode } from '../passage/index.ts'
import { parseBytes, parseRate } from '../text/units.ts'
import type { AcceptRule } from './acceptance.ts'

/** All options of an agent. The daemon's configuration file uses the same names. */
export interface AgentOptions {
  /** This host's name, unique in the mesh. */
  name: string
  /** Path of the cluster key file (`pagemesh keygen`), or the 32 bytes themselves. */
  clusterKey: string | Uint8Array
  /** Multiaddrs that the mesh listens on. */
  listen?: string[]
  /** `host:port` for bulk pages; by default the first listen address, next port. */
  lane?: string
  /** Multiaddrs of peers to dial first. */
  bootstrap?: string[]
  /** Globs of QMP sockets. */
  guests?: string[]
  /** Managers whose QEMUs are guests of this host as well, found by process, without QMP. */
  managed?: Managed | 'off'
  /** Directory for short-lived sockets; by default a new one under the system's temporary directory. */
  runtimeDirectory?: string
  /** Managers' connections to these ports of members pass through this agent; absent: none. */
  intercept?: { ports?: PortRange[] }
  census?: { pagesPerSecond?: number; intervalSeconds?: number; maxBytes?: number }
  popularity?: { minHosts?: number; maxPages?: number }
  store?: { path?: string; maxBytes?: number }
  swap?: { maxBandwidth?: number }
  handoff?: {
    references?: boolean
    peers?: boolean
    compression?: CompressionMode | boolean
    threads?: 'auto' | number
  }
  /** Addresses that other hosts may have this one dial for a manager's migrations; absent: those made for tunnels. */
  tunnel?: { to?: string[] }
  /** Other sockets and `host:port` that this process listens on: the agent never dials them for a member. */
  reserved?: string[]
  /** Which hosts may hand which guests to this one; absent: every member, any guest. */
  accept?: AcceptRule[]
}

export type OptionKind =
  'text' | 'textList' | 'hostPort' | 'portRanges' | 'multiaddrList' | 'dialRules' | 'acceptRules' | 'count' |
  'autoCount' | 'bytes' | 'rate' | 'switch' | 'choice'

/** One option: its meaning, its default and bounds, and the effect of a higher or lower value. */
export interface OptionInfo {
  /** Its name in the configuration file, sections joined by a dot. */
  key: string
  kind: OptionKind
  required?: true
  /** As written in the file; absent: the option is off or follows from others. */
  default?: string | number | boolean
  /** Bounds of numbers, in the unit of `kind`: bytes, bytes a second, or a plain count. */
  min?: number
  max?: number
  /** Allowed values of a choice. */
  choices?: readonly (string | boolean)[]
  about: string
  /** The effect of a higher and of a lower value. */
  tuning?: string
}

export const OPTIONS: readonly OptionInfo[] = [
  { key: 'name', kind: 'text', required: true, about: 'This host\'s name, unique in the mesh.' },
  {
    key: 'clusterKey', kind: 'text', required: true,
    about: 'Path of the cluster key file, as `pagemesh keygen` writes it.',
  },
  {
    key: 'listen', kind: 'multiaddrList', default: '/ip4/0.0.0.0/tcp/4001',
    about: 'Multiaddrs that the mesh listens on.',
  },
  {
    key: 'lane', kind: 'hostPort',
    about: '`host:port` for bulk pages under TLS; by default the first listen address, next port.',
  },
  { key: 'bootstrap', kind: 'multiaddrList', about: 'Multiaddrs of peers to dial first; the peer id may be left out.' },
  {
    key: 'guests', kind: 'textList',
    about: 'QMP sockets of this host\'s guests, as globs; new ones are picked up as they appear.',
  },
  {
    key: 'managed', kind: 'choice', default: 'off', choices: ['off', 'libvirt', 'proxmox', 'any'],
    about: 'Guests of a manager, found by process: those of `libvirt` or of `proxmox`, `any` QEMU, or `off`. Their ' +
      'pages count like those of other guests, and the manager moves them. A guest whose memory must not be merged ' +
      '(`mem-merge=off`, libvirt\'s `nosharepages`) shares nothing.',
    tuning: '`any`: also QEMUs that users start by hand, under any name.',
  },
  {
    key: 'intercept.ports', kind: 'portRanges',
    about: 'Ports at which managers migrate guests to members, such as `[49152-49215]` (libvirt) or `[60000-60050]` ' +
      '(Proxmox): connections of this host to them pass through the agent. Absent: none.',
    tuning: 'Other connections to these ports of members pass through as well, such as those to GlusterFS bricks.',
  },
  {
    key: 'control', kind: 'text', default: '/run/pagemesh/control.sock',
    about: 'The socket that the commands talk to; mode 0600.',
  },
  { key: 'http', kind: 'hostPort', about: '`host:port` for metrics and the status page; absent: off.' },
  {
    key: 'census.pagesPerSecond', kind: 'count', default: 50_000, min: 100, max: 10_000_000,
    about: 'Pages that the census reads and hashes a second.',
    tuning: 'Higher: fresher census, more CPU. Lower: older census, so that more pages are sent whole.',
  },
  {
    key: 'census.intervalSeconds', kind: 'count', default: 60, min: 1, max: 86_400,
    about: 'Seconds between the scans of one guest.',
    tuning: 'Higher: less CPU. Lower: fresher census.',
  },
  {
    key: 'census.maxBytes', kind: 'bytes', default: '1GiB', min: 2 ** 20, max: 2 ** 40,
    about: 'Memory that the census may take.',
    tuning: '13 bytes a distinct page of each guest. When it is full, volatile pages are left out first, then pages ' +
      'that only one guest holds, and status says so.',
  },
  {
    key: 'popularity.minHosts', kind: 'count', default: 2, min: 1, max: 1000,
    about: 'Hosts that must hold a page before it may be gossiped or served proactively.',
    tuning: 'Higher: less is shared and less leaks. Lower: more pages are sent as references.',
  },
  {
    key: 'popularity.maxPages', kind: 'count', default: 2_000_000, min: 1000, max: 10_000_000,
    about: 'Most pages in this host\'s view of popular pages.',
    tuning: 'Higher: more memory, 20 bytes a page. Lower: only the most popular pages are known.',
  },
  {
    key: 'store.path', kind: 'text', default: '/var/lib/pagemesh',
    about: 'Directory of data that survives a restart: the host\'s identity and the pages it keeps.',
  },
  {
    key: 'store.maxBytes', kind: 'bytes', default: '2GiB', min: 0, max: 2 ** 50,
    about: 'Disk space for kept pages; 0: none are kept.',
    tuning: 'Higher: more pages are at hand when a guest arrives. Lower: less disk. 21 bytes of memory a page.',
  },
  {
    key: 'swap.maxBandwidth', kind: 'rate', default: '100Mbit', min: 125_000, max: 2 ** 40,
    about: 'Cap of proactive traffic, both ways together; traffic of moving guests is not capped.',
    tuning: 'Higher: pages spread sooner. Lower: guests have more of the network.',
  },
  {
    key: 'handoff.references', kind: 'switch', default: true,
    about: 'Whether pages of leaving guests that the destination has are sent as references.',
    tuning: 'Off: every page is sent whole once, to measure what references save or to rule them out as a fault.',
  },
  {
    key: 'handoff.peers', kind: 'switch', default: true,
    about: 'Whether pages are also fetched from other hosts while a guest arrives here.',
    tuning: 'Off: only the source\'s link is used.',
  },
  {
    key: 'handoff.compression', kind: 'choice', default: 'auto', choices: ['auto', 'always', 'never', true, false],
    about: 'Whether pages sent whole are compressed: `auto` (unless the link is measured to be faster than zstd), ' +
      '`always` or `never`; `true` and `false` mean the latter two.',
    tuning: '`always`: fewest bytes on any link. `never`: less CPU and more bytes.',
  },
  {
    key: 'handoff.threads', kind: 'autoCount', default: 'auto', min: 0, max: 256,
    about: 'Worker threads for the streams of moving guests, one each; 0: the agent\'s own thread, which also runs ' +
      'streams that find no free thread. `auto`: one less than there are cores, or 0 below eight cores. Without ' +
      'the kernel always 0.',
    tuning: 'Higher: several streams go faster. Lower: less memory, and more cores for guests.',
  },
  {
    key: 'tunnel.to', kind: 'dialRules',
    about: 'Addresses that other hosts may have this one dial for a manager\'s migrations: globs of socket paths, ' +
      '`host:port` or `host:port-port`; absent: sockets in /run/pagemesh/tunnel and ports 20000-30999 of ' +
      '127.64.0.0/16.',
    tuning: 'An empty list: nothing.',
  },
  {
    key: 'accept', kind: 'acceptRules',
    about: 'Which hosts may hand which guests to this one, such as `[{guest: web-*, from: [host-b]}]`, both as ' +
      'globs; absent: every member, any guest.',
    tuning: 'An empty list: nobody.',
  },
]

/** The default of a numeric option in its plain unit. */
export function numericDefault(key: string): number {
  const option = OPTIONS.find((candidate) => candidate.key === key)
  const value = option?.default
  if (typeof value === 'number') return value
  const text = String(value ?? '')
  const parsed = option?.kind === 'rate' ? parseRate(text) : parseBytes(text)
  return parsed ?? 0
}

/** The default of a text option. */
export function textDefault(key: string): string {
  return String(OPTIONS.find((candidate) => candidate.key === key)?.default ?? '')
}

/** The default of a boolean option. */
export function switchDefault(key: string): boolean {
  return OPTIONS.find((candidate) => candidate.key === key)?.default === true
}

/** Compression of pages sent whole; booleans are the option's older form. */
export function compressionMode(chosen: CompressionMode | boolean | undefined): CompressionMode {
  if (typeof chosen === 'boolean') return chosen ? 'always' : 'never'
  return chosen ?? 'auto'
}
