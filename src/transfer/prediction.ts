/** What a handoff would come to: counts and rates in, bytes and times out. Pure. */
import { PAGE_BYTES } from '../page/index.ts'
import type { Rehearsal } from '../passage/index.ts'
import type { PageCounts } from './result.ts'

/** What a handoff is expected to come to. */
export interface Expected {
  /** Bytes that the source QEMU would write. */
  qemuBytes: number
  /** Bytes that the source agent would send. */
  wireBytes: number
  /** Null if nothing is known of the rate to that host, or pre-copy would not end. */
  totalMs: number | null
  /** Null if no guest that ran went to that host before. */
  downtimeMs: number | null
  pages: PageCounts
  /** Literals on the wire, as a share of their size. */
  literalRatio: number
}

/** Something that stands in the way of a handoff that nothing refuses. */
export interface Obstacle {
  code: string
  reason: string
}

/** An earlier handoff to the same host. */
export interface PastMove {
  mode: 'precopy' | 'postcopy'
  totalMs: number
  downtimeMs: number | null
  qemuBytes: number
  wireBytes: number
}

/** Rates that a handoff may reach, bytes a second; each undefined if unknown. */
export interface Rates {
  wire: number | undefined
  /** Of QEMU's own stream, before references. */
  qemu: number | undefined
}

export interface PredictionInit {
  rehearsal: Rehearsal
  /** Pages of the guest's memory. */
  ramPages: number
  mode: 'precopy' | 'postcopy'
  /** Bytes that the exchange before the stream takes. */
  exchangeBytes: number
  rates: Rates
  past: readonly PastMove[]
  timeoutMs: number | undefined
  onTimeout: 'cancel' | 'postcopy' | 'pause'
}

/** Past handoffs that count: the newest ones, because links and guests change. */
const PAST_MAX = 8

/**
 * Bytes in QEMU's stream of one record's head, and of all device state; and bytes on the wire beside those of pages,
 * under zstd. Chosen by hand from the results of seven moves of the lab, and compared with twelve others.
 */
const STREAM = { zeroBytes: 9, headBytes: 8, devicesBytes: 160_000 }
const WIRE = { zeroBytes: 1, refBytes: 18, sentBytes: 5, literalBytes: 4, devicesBytes: 40_000 }
/** A handoff that sent less tells nothing of the rate of the wire: other work took its time. */
const TELLING_BYTES = 8e6
/** For the pages that change meanwhile while no rate is known: 1 Gbit/s. */
const RATE_ASSUMED = 125e6

/** What is known of the rates to a host: of the link, and of earlier handoffs there. */
export function ratesOf(
  past: readonly PastMove[], { linkBytesPerSecond, bytesPerSecondMax }: {
    linkBytesPerSecond: number | undefined; bytesPerSecondMax: number | undefined
  },
): Rates {
  const best = (bytes: (move: PastMove) => number): number | undefined => {
    const rates = past.slice(0, PAST_MAX).filter((move) => move.totalMs > 0 && bytes(move) >= TELLING_BYTES)
      .map((move) => bytes(move) / move.totalMs * 1000)
    return rates.length === 0 ? undefined : Math.max(...rates)
  }
  const link = linkBytesPerSecond ?? best(({ wireBytes }) => wireBytes)
  const wire = bytesPerSecondMax === undefined ? link : Math.min(link ?? Infinity, bytesPerSecondMax)
  return { wire, qemu: best(({ qemuBytes }) => qemuBytes) }
}

/** What a handoff would come to. */
export function predict(init: PredictionInit): { expected: Expected; obstacles: Obstacle[] } {
  const { rehearsal, ramPages, rates, mode } = init
  const scale = rehearsal.pages === 0 ? 0 : ramPages / rehearsal.pages
  const first = {
    zero: rehearsal.zero * scale, ref: rehearsal.ref * scale, sentBefore: rehearsal.sentBefore * scale,
    literal: rehearsal.literal * scale,
  }
  const literalRatio = rehearsal.packedBytes === 0 ? 1 : rehearsal.packedWireBytes / rehearsal.packedBytes
  const literalBytes = PAGE_BYTES * literalRatio + WIRE.literalBytes
  const firstBytes = {
    qemu: STREAM.devicesBytes + first.zero * STREAM.zeroBytes +
      (first.ref + first.sentBefore + first.literal) * (PAGE_BYTES + STREAM.headBytes),
    wire: init.exchangeBytes + WIRE.devicesBytes + first.zero * WIRE.zeroBytes + first.ref * WIRE.refBytes +
      first.sentBefore * WIRE.sentBytes + first.literal * literalBytes,
  }
  const changedPerMs = changeOf(rehearsal, scale)
  const page = { qemu: PAGE_BYTES + STREAM.headBytes, wire: literalBytes }
  // The share of a pass that the guest changes while it is sent.
  const share = changedPerMs * msOf(page, rates)
  const converges = mode === 'postcopy' || share < 1
  const again = mode === 'postcopy' ? 0 : changedPerMs * msOf(firstBytes, rates) / (converges ? 1 - share : 1)
  const all = { qemu: firstBytes.qemu + again * page.qemu, wire: firstBytes.wire + again * page.wire }
  // Where little is to be sent, QEMU's own rate is enough.
  const isRateKnown = rates.wire !== undefined || (rates.qemu !== undefined && all.wire < TELLING_BYTES)
  const totalMs = isRateKnown && converges ? msOf(all, rates) : null
  const obstacles = [
    ...(isRateKnown && !converges && init.onTimeout === 'cancel' ? [doesNotConverge(changedPerMs, rates)] : []),
    ...(totalMs !== null && init.timeoutMs !== undefined && totalMs > init.timeoutMs && init.onTimeout === 'cancel'
      ? [tooLong(totalMs, init.timeoutMs)] : []),
  ]
  return {
    expected: {
      qemuBytes: Math.round(all.qemu), wireBytes: Math.round(all.wire), literalRatio,
      totalMs: totalMs === null ? null : Math.round(totalMs),
      downtimeMs: downtimeOf(init.past.filter((move) => move.mode === mode)),
      pages: rounded(first, again),
    },
    obstacles,
  }
}

/** Pages that the guest changes in a millisecond. */
function changeOf({ lookedAgain, changed, betweenMs, pages }: Rehearsal, scale: number): number {
  if (lookedAgain === 0 || betweenMs <= 0) return 0
  return changed / lookedAgain * pages * scale / betweenMs
}

/** The slower of the wire and of QEMU decides. */
function msOf(bytes: { qemu: number; wire: number }, { wire, qemu }: Rates): number {
  const wireRate = wire ?? (qemu === undefined ? RATE_ASSUMED : Infinity)
  return Math.max(bytes.wire / wireRate, qemu === undefined ? 0 : bytes.qemu / qemu) * 1000
}

/** The median of earlier handoffs. */
function downtimeOf(past: readonly PastMove[]): number | null {
  const known = past.map(({ downtimeMs }) => downtimeMs).filter((ms) => ms !== null).slice(0, PAST_MAX)
    .toSorted((one, other) => one - other)
  return known[Math.floor(known.length / 2)] ?? null
}

function rounded(
  first: { zero: number; ref: number; sentBefore: number; literal: number }, again: number,
): PageCounts {
  const zero = Math.round(first.zero)
  const ref = Math.round(first.ref + first.sentBefore)
  const literal = Math.round(first.literal + again)
  return { total: zero + ref + literal, zero, ref, literal }
}

function doesNotConverge(changedPerMs: number, rates: Rates): Obstacle {
  const changes = megabytes(changedPerMs * 1000 * PAGE_BYTES)
  const carried = megabytes(Math.min(rates.wire ?? Infinity, rates.qemu ?? Infinity))
  return {
    code: 'does-not-converge',
    reason: `It changes ${changes} MB/s, and the way to that host carried ${carried} MB/s: pre-copy would not end. ` +
      'Use --mode postcopy, or --on-timeout.',
  }
}

function tooLong(totalMs: number, timeoutMs: number): Obstacle {
  return {
    code: 'timeout',
    reason: `It would take ${Math.round(totalMs / 1000)} s, longer than --timeout ${timeoutMs / 1000}.`,
  }
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6)
}
