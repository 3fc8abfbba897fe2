import type { PortRange } from '../net/portranges.ts'
import type { CompressionMode } from '../passage/index.ts'
import { parseBytes, parseRate } from '../text/units.ts'
import type { AcceptRule } from './acceptance.ts'
import type { Tenants } from './tenants.ts'

/** What an option of each kind is to the agent: sizes in bytes, rates in bytes a second. */
interface KindValues {
  text: string
  textList: string[]
  hostPort: string
  portRanges: PortRange[]
  multiaddrList: string[]
  dialRules: string[]
  acceptRules: AcceptRule[]
  tenants: Tenants
  count: number
  autoCount: number | 'auto'
  bytes: number
  rate: number
  switch: boolean
  choice: string | boolean
}

export type OptionKind = keyof KindValues

export type OptionValue = KindValues[OptionKind]

/** One option: its meaning, its default and bounds, and the effect of a higher or lower value. */
export interface OptionInfo {
  /** Its name in the configuration file, sections joined by a dot. */
  key: string
  kind: OptionKind
  required?: true
  /** As written in the file; absent: the option is off or follows from others. */
  default?: string | number | boolean | readonly string[]
  /** A value as written in the file, for keys without a default. */
  example?: string
  /** Bounds of numbers, in the unit of `kind`: bytes, bytes a second, or a plain count. */
  min?: number
  max?: number
  /** Allowed values of a choice. */
  choices?: readonly (string | boolean)[]
  about: string
  /** The effect of a higher and of a lower value. */
  tuning?: string
}

/** The table that everything else about options derives from: their types, their defaults, the file and its README. */
const TABLE = [
  {
    key: 'name', kind: 'text', required: true, example: 'host-a',
    about: 'This host\'s name, unique in the mesh.',
  },
  {
    key: 'clusterKey', kind: 'text', required: true, example: '/etc/pagemesh/cluster.key',
    about: 'Path of the cluster key file, as `pagemesh keygen` writes it.',
  },
  {
    key: 'listen', kind: 'multiaddrList', default: ['/ip4/0.0.0.0/tcp/4001'],
    about: 'Multiaddrs that the mesh listens on.',
  },
  {
    key: 'lane', kind: 'hostPort', example: '10.0.0.1:4002',
    about: '`host:port` for bulk pages under TLS; by default the first listen address that is not loopback, next port.',
  },
  {
    key: 'announce', kind: 'multiaddrList', example: '[/ip4/203.0.113.5/tcp/4001]',
    about: 'Multiaddrs that others are told instead of those listened on, as behind NAT. Lanes are told at the first ' +
      'of their hosts: at the port of `lane`, or if that is left out at the port after the announced one.',
  },
  {
    key: 'bootstrap', kind: 'multiaddrList', example: '[/ip4/10.0.0.2/tcp/4001]',
    about: 'Multiaddrs of peers to dial first; the peer id may be left out.',
  },
  {
    key: 'guests', kind: 'textList', example: '[/run/vms/*.qmp]',
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
    key: 'intercept.ports', kind: 'portRanges', example: '[49152-49215]',
    about: 'Ports at which managers migrate guests to members, such as `[49152-49215]` (libvirt) or `[60000-60050]` ' +
      '(Proxmox): connections of this host to them pass through the agent. Absent: none.',
    tuning: 'Other connections to these ports of members pass through as well, such as those to GlusterFS bricks.',
  },
  {
    key: 'control', kind: 'text', default: '/run/pagemesh/control.sock',
    about: 'The socket that the commands talk to; mode 0600.',
  },
  {
    key: 'http', kind: 'hostPort', example: '127.0.0.1:9464',
    about: '`host:port` for metrics and the status page; absent: off.',
  },
  {
    key: 'metrics.guestNames', kind: 'switch', default: false,
    about: 'Whether the metrics tell guests apart, in a label `name`.',
    tuning: 'On: a series for each guest, and whoever reads the metrics knows their names.',
  },
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
    tuning: 'Higher: more pages are at hand when a guest arrives. Lower: less disk. 22 bytes of memory a page.',
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
    key: 'handoff.parallel', kind: 'count', default: 4, min: 1, max: 64,
    about: 'Guests that may leave this host at once, and as many that may arrive. A `migrate` beyond that fails, or ' +
      'waits with `--wait`; a guest whose destination is full waits at its source.',
    tuning: 'Higher: more guests share the link, and each takes longer. Lower: they queue.',
  },
  {
    // Both are made for nothing else.
    key: 'tunnel.to', kind: 'dialRules', default: ['/run/pagemesh/tunnel/*', '127.64.0.0/16:20000-30999'],
    about: 'Addresses that other hosts may have this one dial for a manager\'s migrations: globs of socket paths, ' +
      '`host:port` or `host:port-port`.',
    tuning: 'An empty list: nothing.',
  },
  {
    key: 'accept', kind: 'acceptRules', example: '[{guest: web-*, from: [host-b]}]',
    about: 'Which hosts may hand which guests to this one, such as `[{guest: web-*, from: [host-b]}]`, both as ' +
      'globs; absent: every member, any guest.',
    tuning: 'An empty list: nobody.',
  },
  {
    key: 'tenants', kind: 'tenants', example: '[{guests: db-*, tenant: blue}]',
    about: 'Whose the guests are: guests of two tenants share no page. `{default: NAME}` for all, or a list of rules ' +
      'such as `[{guests: db-*, tenant: blue}]`, globs of names of which the first that matches counts; guests that ' +
      'none names are of `shared`. Pages of tenant `public` leave a host though no other holds them, and guests of ' +
      'every tenant are moved with references to them. The same on all hosts; absent: `{default: shared}`.',
    tuning: 'More tenants: less in common, and less of what one can learn about another.',
  },
] as const satisfies readonly OptionInfo[]

export const OPTIONS: readonly OptionInfo[] = TABLE

type Entry = (typeof TABLE)[number]
type Key = Entry['key']
type EntryOf<K extends Key> = Extract<Entry, { key: K }>
/** What the option `K` is to the agent. */
type Value<K extends Key> =
  EntryOf<K> extends { choices: readonly (infer Choice)[] } ? Choice : KindValues[EntryOf<K>['kind']]
type Section = Key extends infer K ? K extends `${infer Name}.${string}` ? Name : never : never
type Named<S extends Section> = Key extends infer K ? K extends `${S}.${infer Name}` ? Name : never : never

/** What the configuration file may say, each option in its plain unit. */
export type ConfigOptions =
  { [K in Exclude<Key, `${string}.${string}`> as EntryOf<K> extends { required: true } ? K : never]: Value<K> } &
  { [K in Exclude<Key, `${string}.${string}`> as EntryOf<K> extends { required: true } ? never : K]?: Value<K> } &
  { [S in Section]?: { [N in Named<S>]?: Value<Extract<Key, `${S}.${N}`>> } }

/** What an agent can be told: what the configuration file may say, but for the daemon's own, and what only code can. */
export interface AgentOptions extends Omit<ConfigOptions, 'clusterKey' | 'control' | 'http'> {
  /** Path of the cluster key file (`pagemesh keygen`), or the 32 bytes themselves. */
  clusterKey: string | Uint8Array
  /** A directory for short-lived sockets; by default one of its own under the system's temporary directory. */
  runtimeDirectory?: string
  /** Sockets and `host:port` that this process listens on beside the mesh's own: nothing of them is ever dialled. */
  reserved?: string[]
}

/** The default of an option as the agent takes it; undefined where it has none. */
export function defaultOf({ kind, default: written }: OptionInfo): OptionValue | undefined {
  if (kind === 'bytes') return parseBytes(String(written))
  if (kind === 'rate') return parseRate(String(written))
  return typeof written === 'object' ? [...written] : written
}

/** An option's value: what was chosen, or else its default. */
export function valueOf<K extends Key>(
  options: Partial<AgentOptions>, key: K,
): Value<K> | (EntryOf<K> extends { default: unknown } | { required: true } ? never : undefined)
export function valueOf(options: Partial<AgentOptions>, key: Key): unknown {
  const [section = '', name] = key.split('.')
  const said = options[section as keyof AgentOptions] as Record<string, unknown> | undefined
  const chosen: unknown = name === undefined ? said : said?.[name]
  return chosen ?? defaultOf(OPTIONS.find((option) => option.key === key)!)
}

/** Compression of pages sent whole; booleans are the option's older form. */
export function compressionMode(chosen: CompressionMode | boolean | undefined): CompressionMode {
  if (typeof chosen === 'boolean') return chosen ? 'always' : 'never'
  return chosen ?? 'auto'
}
