/**
 * What a host tells a member that asks for it: enough to show a whole cluster on one page, and to choose where guests
 * may go.
 *
 *   asker                       other
 *     {version: 1, fresh}  --->           fresh: the guests' states are asked for anew
 *                          <---  HostSummary as JSON, at most MESSAGE_BYTES_MAX
 *
 * What comes from another host is read field by field, and bounded. Pure.
 */
import { MESSAGE_BYTES_MAX } from '../mesh/index.ts'
import { bad, encodeObject, isText, parseObject } from '../transfer/index.ts'
import type { HandoffRecord, HeldGuest } from './index.ts'
import { SAMPLES_MAX, type LedgerSample } from './ledgerseries.ts'
import type { AgentStatus } from './status.ts'

export const SUMMARY_PROTOCOL = '/pagemesh/summary/1'
const VERSION = 1

/** Entries of each list at most. With more guests than that, those that wait for a migration come first. */
const LIST_MAX = 512
const HISTORY_MAX = 20
const NAME_MAX = 255
const SENTENCE_MAX = 1000
const REASON_MAX = 300
const CODE_MAX = 64
/** What a guest is while its QEMU waits for a migration, in QEMU's word. */
const WAITING = 'inmigrate'

export interface HostSummary {
  host: string
  version: string
  settled: boolean
  /** For how long it has not been settled; 0 where it is. */
  unsettledMs: number
  memory: MemoryRoom
  /** Guests that may come at once, and those that come now. */
  parallel: number
  arriving: number
  /** All there are; `guests` may be the first of them. */
  guestCount: number
  guests: { name: string; state: string; manager: string | null; ramBytes: number }[]
  handoffs: MovingGuest[]
  held: Pick<HeldGuest, 'guest' | 'from' | 'sinceMs' | 'why' | 'isOpen'>[]
  /** Newest first. */
  history: PastHandoff[]
  popularity: { pages: number }
  store: { bytes: number; maxBytes: number; damagedPages: number }
  /** Since the agent started; `series` is the same over that time, the oldest first. */
  ledger: { savedBytes: number; spentBytes: number; netBytes: number; series: LedgerSample[] }
}

/** Memory of a host, bytes. */
export interface MemoryRoom {
  totalBytes: number
  availableBytes: number
}

export interface MovingGuest {
  guest: string
  direction: 'outgoing' | 'incoming'
  other: string
  driver: 'qmp' | 'relay'
  phase: string
  /** What it waits for while it is queued. */
  why: string | null
  /** Unknown for guests that come, and where a manager drives. */
  percent: number | null
  wireBytes: number
  /** Over the last second; unknown as `percent` is. */
  wireBytesPerSecond: number | null
}

export type PastHandoff = Pick<
  HandoffRecord, 'guest' | 'from' | 'to' | 'direction' | 'mode' | 'status' | 'totalMs' | 'downtimeMs' | 'qemuBytes' |
    'wireBytes' | 'endedAt'
> & {
  /** Null if this host cannot tell: its source can, or an agent was restarted meanwhile. */
  digestMatched: boolean | null
  /** Why it did not complete, as far as there is room, and the stable name of that. */
  reason: string | null
  code: string | null
}

/** What else than its status a host says of itself. */
export interface SummaryContext {
  history: readonly HandoffRecord[]
  memory: MemoryRoom
  parallel: number
  unsettledMs: number
  series: LedgerSample[]
}

export function encodeSummaryRequest({ fresh }: { fresh: boolean }): Uint8Array {
  return encodeObject({ version: VERSION, fresh })
}

/** Throws PagemeshError `bad-question`. */
export function decodeSummaryRequest(bytes: Uint8Array): { fresh: boolean } {
  const { version, fresh } = parseObject(bytes, 'bad-question')
  if (version !== VERSION || typeof fresh !== 'boolean') throw bad('bad-question', 'it does not ask for a summary')
  return { fresh }
}

/** What was spent beforehand, over all accounts. */
export function spentIn({ ledger }: Pick<AgentStatus, 'ledger'>): number {
  const { report, gossip, swap, peers } = ledger.spentBytes
  return report + gossip + swap + peers
}

/** What this host says of itself. */
export function summaryOf(status: AgentStatus, about: SummaryContext): HostSummary {
  const { host, version, settled, guests, handoffs, held, popularity, store, ledger } = status
  const spentBytes = spentIn(status)
  const sorted = [...guests].sort((one, other) => Number(other.state === WAITING) - Number(one.state === WAITING))
  return {
    host, version, settled, unsettledMs: about.unsettledMs, memory: about.memory, parallel: about.parallel,
    arriving: handoffs.filter(({ direction, driver }) => direction === 'incoming' && driver === 'qmp').length,
    guestCount: guests.length,
    guests: sorted.slice(0, LIST_MAX).map(({ name, state, manager, ramBytes }) => ({ name, state, manager, ramBytes })),
    handoffs: handoffs.slice(0, LIST_MAX).map(movingOf),
    held: held.slice(0, LIST_MAX)
      .map(({ guest, from, sinceMs, why, isOpen }) => (
        { guest, from, sinceMs, why: why.slice(0, SENTENCE_MAX), isOpen })),
    history: about.history.slice(0, HISTORY_MAX).map(pastOf),
    popularity: { pages: popularity.pages },
    store: { bytes: store.bytes, maxBytes: store.maxBytes, damagedPages: store.damagedPages },
    ledger: { savedBytes: ledger.savedBytes, spentBytes, netBytes: ledger.netBytes, series: about.series },
  }
}

/** Leaves out the ends of its lists until it fits a message. */
export function encodeSummary(summary: HostSummary): Uint8Array {
  for (let shown = LIST_MAX; ; shown = Math.floor(shown / 2)) {
    const { guests, handoffs, held, history } = summary
    const bytes = encodeObject({
      ...summary, guests: guests.slice(0, shown), handoffs: handoffs.slice(0, shown), held: held.slice(0, shown),
      history: history.slice(0, shown),
    })
    if (bytes.length <= MESSAGE_BYTES_MAX || shown === 0) return bytes
  }
}

/** The QEMUs on that host that wait for a migration, by name. */
export function waitingAt({ guests }: HostSummary): string[] {
  return guests.filter(({ state }) => state === WAITING).map(({ name }) => name)
}

/** What the host named `host` said. Throws PagemeshError `bad-answer`. */
export function decodeSummary(bytes: Uint8Array, host: string): HostSummary {
  const read = parseObject(bytes, 'bad-answer')
  const { memory, popularity, store, ledger } = read
  return {
    // A host speaks for itself alone.
    host,
    version: text(read.version, 64), settled: flag(read.settled),
    unsettledMs: count(read, 'unsettledMs'),
    memory: { totalBytes: count(memory, 'totalBytes'), availableBytes: count(memory, 'availableBytes') },
    parallel: count(read, 'parallel'), arriving: count(read, 'arriving'), guestCount: count(read, 'guestCount'),
    guests: list(read.guests, LIST_MAX).map((guest) => ({
      name: text(guest.name, NAME_MAX), state: text(guest.state, 32), ramBytes: count(guest, 'ramBytes'),
      manager: guest.manager === null ? null : text(guest.manager, 32),
    })),
    handoffs: list(read.handoffs, LIST_MAX).map((moving) => ({
      guest: text(moving.guest, NAME_MAX), other: text(moving.other, NAME_MAX),
      direction: directionOf(moving.direction), driver: moving.driver === 'relay' ? 'relay' : 'qmp',
      phase: text(moving.phase, 32), why: moving.why === null ? null : text(moving.why, SENTENCE_MAX),
      percent: moving.percent === null ? null : Math.min(100, count(moving, 'percent')),
      wireBytes: count(moving, 'wireBytes'),
      wireBytesPerSecond: moving.wireBytesPerSecond === null ? null : count(moving, 'wireBytesPerSecond'),
    })),
    held: list(read.held, LIST_MAX).map((held) => ({
      guest: text(held.guest, NAME_MAX), from: text(held.from, NAME_MAX), sinceMs: count(held, 'sinceMs'),
      why: text(held.why, SENTENCE_MAX), isOpen: flag(held.isOpen),
    })),
    history: list(read.history, HISTORY_MAX).map(readPast),
    popularity: { pages: count(popularity, 'pages') },
    store: {
      bytes: count(store, 'bytes'), maxBytes: count(store, 'maxBytes'), damagedPages: count(store, 'damagedPages'),
    },
    ledger: {
      savedBytes: number(ledger, 'savedBytes'), spentBytes: count(ledger, 'spentBytes'),
      netBytes: number(ledger, 'netBytes'), series: list(field(ledger, 'series'), SAMPLES_MAX).map(readSample),
    },
  }
}

function movingOf(handoff: AgentStatus['handoffs'][number]): MovingGuest {
  const { guest, direction, driver, phase } = handoff
  const isOutgoing = direction === 'outgoing'
  const isOwn = isOutgoing && driver === 'qmp'
  return {
    guest, direction, driver, phase, other: isOutgoing ? handoff.to : handoff.from,
    percent: isOwn ? Math.round(handoff.percent) : null,
    wireBytes: 'wireBytes' in handoff ? handoff.wireBytes : handoff.streamBytes,
    why: isOwn ? handoff.why?.slice(0, SENTENCE_MAX) || null : null,
    wireBytesPerSecond: isOwn ? Math.round(handoff.wireBytesPerSecond) : null,
  }
}

function pastOf(record: HandoffRecord): PastHandoff {
  const { guest, from, to, direction, mode, status, totalMs, downtimeMs, qemuBytes, wireBytes, endedAt } = record
  return {
    guest, from, to, direction, mode, status, totalMs, downtimeMs, qemuBytes, wireBytes, endedAt,
    digestMatched: direction === 'outgoing' && qemuBytes > 0 ? record.digestMatched : null,
    reason: record.reason?.slice(0, REASON_MAX) || null, code: record.code ?? null,
  }
}

function readPast(past: Record<string, unknown>): PastHandoff {
  const { status, downtimeMs, endedAt } = past
  if (status !== 'completed' && status !== 'failed' && status !== 'cancelled' && status !== 'unknown') {
    throw bad('bad-answer', 'a handoff has no outcome')
  }
  const at = text(endedAt, 32)
  if (Number.isNaN(Date.parse(at))) throw bad('bad-answer', 'a handoff has no time')
  return {
    guest: text(past.guest, NAME_MAX), from: text(past.from, NAME_MAX), to: text(past.to, NAME_MAX),
    direction: directionOf(past.direction), mode: past.mode === 'postcopy' ? 'postcopy' : 'precopy', status,
    totalMs: count(past, 'totalMs'), downtimeMs: downtimeMs === null ? null : count(past, 'downtimeMs'),
    qemuBytes: count(past, 'qemuBytes'), wireBytes: count(past, 'wireBytes'), endedAt: at,
    digestMatched: past.digestMatched === null ? null : flag(past.digestMatched),
    reason: past.reason === null ? null : text(past.reason, REASON_MAX),
    code: past.code === null ? null : text(past.code, CODE_MAX),
  }
}

function readSample(sample: Record<string, unknown>): LedgerSample {
  return {
    agoMs: count(sample, 'agoMs'), savedBytes: number(sample, 'savedBytes'), spentBytes: count(sample, 'spentBytes'),
  }
}

function directionOf(value: unknown): 'outgoing' | 'incoming' {
  return value === 'outgoing' ? 'outgoing' : 'incoming'
}

function list(value: unknown, countMax: number): Record<string, unknown>[] {
  if (!Array.isArray(value) || value.length > countMax) throw bad('bad-answer', 'a list is missing or too long')
  return value.map((entry) => {
    if (typeof entry !== 'object' || entry === null) throw bad('bad-answer', 'a list has odd entries')
    return entry as Record<string, unknown>
  })
}

function text(value: unknown, lengthMax: number): string {
  if (!isText(value, lengthMax)) throw bad('bad-answer', 'a text is missing or too long')
  return value
}

function flag(value: unknown): boolean {
  if (typeof value !== 'boolean') throw bad('bad-answer', 'it does not say yes or no')
  return value
}

function field(from: unknown, name: string): unknown {
  return typeof from === 'object' && from !== null ? (from as Record<string, unknown>)[name] : undefined
}

function number(from: unknown, name: string): number {
  const value = field(from, name)
  if (typeof value !== 'number' || !Number.isFinite(value)) throw bad('bad-answer', 'a number is missing')
  return value
}

function count(from: unknown, name: string): number {
  const value = number(from, name)
  if (value < 0) throw bad('bad-answer', 'a count is below zero')
  return value
}
