import type { Census, GuestCensus } from '../census/index.ts'
import type { DiscoveredGuest, Guest } from '../guest/index.ts'
import type { Mesh } from '../mesh/index.ts'
import { formatHostPort } from '../net/hostport.ts'
import type { PopularityView } from '../popularity/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { describeError } from '../runtime/errors.ts'
import { someAtOnce } from '../runtime/wait.ts'
import { askReach, type PeerReach } from './reach.ts'
import type { AgentStatus } from './status.ts'

/** Of a guest with more pages as many are looked at, spread evenly: a percent in doubt, and a few milliseconds. */
const PAGES_LOOKED_AT = 50_000
/** Members that are asked at once. */
const PEERS_AT_ONCE = 8

/** What an agent finds when it looks at itself, its guests and the ways to others, for `pagemesh doctor`. */
export interface Examination {
  /** Of the agent's process. */
  pid: number
  nodeVersion: string
  status: AgentStatus
  /** `host:port` of what others are told. */
  announced: string[]
  /** `host:port` that lanes listen at; the host may stand for all addresses. */
  lane: string
  peers: PeerReach[]
  guests: ExaminedGuest[]
}

export interface ExaminedGuest {
  name: string
  /** Its QMP socket; null where a manager has it. */
  path: string | null
  /** What its QEMU says of itself; null where it cannot be asked now. */
  qemuVersion: string | null
  /** Why it could not be asked. */
  why: string | null
  known: KnownPages
}

/** How many of a guest's pages this host knows to be elsewhere; of a large one, of a sample. */
export interface KnownPages {
  lookedAt: number
  /** Held by enough hosts to be told of. */
  popular: number
  /** By host, of those that are named: a page names three at most. */
  byHost: Record<string, number>
}

interface Parts {
  clock: Clock
  mesh: Mesh
  census: Pick<Census, 'of'>
  popularity: { view: Pick<PopularityView, 'hostsOf' | 'holdersOf'> }
  guests: { all(): (Guest | DiscoveredGuest)[] }
}

/** Looks at everything; `to` names the one member to be asked, where not all are. Never rejects. */
export async function examine(
  parts: Parts, status: AgentStatus, { to, signal }: { to: string | undefined; signal: AbortSignal },
): Promise<Examination> {
  const { mesh } = parts
  const members = mesh.members().filter(({ name }) => to === undefined || name === to)
  return {
    pid: process.pid,
    nodeVersion: process.version,
    status,
    announced: mesh.announcedBy(mesh.self.peerId).map(formatHostPort),
    lane: mesh.laneAddress,
    peers: await someAtOnce(members, PEERS_AT_ONCE, (member) => askReach(parts, member, signal)),
    guests: await someAtOnce(parts.guests.all(), PEERS_AT_ONCE, (guest) => examineGuest(parts, guest, signal)),
  }
}

async function examineGuest(
  { census, popularity, mesh }: Parts, guest: Guest | DiscoveredGuest, signal: AbortSignal,
): Promise<ExaminedGuest> {
  const [path, ask] = 'path' in guest ? [guest.path, guest.qemuVersion] : []
  const known = knownPages(census.of(guest.name), popularity.view, mesh.self.name)
  const about = { name: guest.name, path: path ?? null, known }
  if (ask === undefined) return { ...about, qemuVersion: null, why: null }
  try {
    signal.throwIfAborted()
    return { ...about, qemuVersion: await ask.call(guest), why: null }
  } catch (error) {
    return { ...about, qemuVersion: null, why: describeError(error) }
  }
}

/** Pure. */
export function knownPages(
  found: Pick<GuestCensus, 'table'> | undefined, view: Pick<PopularityView, 'hostsOf' | 'holdersOf'>, self: string,
): KnownPages {
  const known: KnownPages = { lookedAt: 0, popular: 0, byHost: {} }
  if (found === undefined) return known
  const { table } = found
  const step = Math.max(1, Math.ceil(table.size / PAGES_LOOKED_AT))
  for (let index = 0; index < table.size; index += step) {
    const [high, low] = [table.highAt(index), table.lowAt(index)]
    known.lookedAt += 1
    if (view.hostsOf(high, low) === 0) continue
    known.popular += 1
    for (const host of view.holdersOf(high, low)) {
      if (host !== self) known.byHost[host] = (known.byHost[host] ?? 0) + 1
    }
  }
  return known
}
