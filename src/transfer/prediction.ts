/** What a handoff would come to: counts, speeds and rates in, bytes and times out. Pure. */
import { PAGE_BYTES } from '../page/index.ts'
import type { Rehearsal } from '../passage/index.ts'
import { paceOf, streamMsOf, workOf, type PaceInit, type PastMove, type Speeds } from './pace.ts'
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

export interface PredictionInit extends Omit<PaceInit, 'speeds'> {
  rehearsal: Rehearsal
  /** Pages of the guest's memory. */
  ramPages: number
  mode: 'precopy' | 'postcopy'
  /** Bytes that the exchange before the stream takes. */
  exchangeBytes: number
  timeoutMs: number | undefined
  onTimeout: 'cancel' | 'postcopy' | 'pause'
}

/** Past handoffs whose downtime counts: the newest ones, because guests change. */
const PAST_MAX = 8
/**
 * Bytes in QEMU's stream of one record's head, and of all device state; and bytes on the wire beside those of pages,
 * under zstd. Chosen by hand from the results of seven moves of the lab, and compared with twelve others.
 */
const STREAM = { zeroBytes: 9, headBytes: 8, devicesBytes: 160_000 }
const WIRE = { zeroBytes: 1, refBytes: 18, sentBytes: 5, literalBytes: 4, devicesBytes: 40_000 }

/** What a handoff would come to. */
export function predict(init: PredictionInit): { expected: Expected; obstacles: Obstacle[] } {
  const { rehearsal, ramPages, mode, past } = init
  const scale = rehearsal.pages === 0 ? 0 : ramPages / rehearsal.pages
  const first = {
    zero: rehearsal.zero * scale, ref: rehearsal.ref * scale, sentBefore: rehearsal.sentBefore * scale,
    literal: rehearsal.literal * scale,
  }
  const literalRatio = rehearsal.packedBytes === 0 ? 1 : rehearsal.packedWireBytes / rehearsal.packedBytes
  const page = { qemu: PAGE_BYTES + STREAM.headBytes, wire: PAGE_BYTES * literalRatio + WIRE.literalBytes }
  const once = {
    qemu: STREAM.devicesBytes + first.zero * STREAM.zeroBytes +
      (first.ref + first.sentBefore + first.literal) * page.qemu,
    wire: init.exchangeBytes + WIRE.devicesBytes + first.zero * WIRE.zeroBytes + first.ref * WIRE.refBytes +
      first.sentBefore * WIRE.sentBytes + first.literal * page.wire,
  }
  const speeds = speedsOf(rehearsal)
  const pace = paceOf({ ...init, speeds })
  const firstMs = streamMsOf({ wireBytes: once.wire, workMs: workOf(rounded(first, 0), speeds) }, pace)
  // The share of a pass that the guest changes while it is sent.
  const changedPerMs = changeOf(rehearsal, scale)
  const pageMs = streamMsOf({ wireBytes: page.wire, workMs: workOf({ ref: 0, literal: 1 }, speeds) }, pace)
  const share = changedPerMs * pageMs
  const converges = mode === 'postcopy' || share < 1
  const again = mode === 'postcopy' ? 0 : changedPerMs * firstMs / (converges ? 1 - share : 1)
  const pages = rounded(first, again)
  const wireBytes = once.wire + again * page.wire
  const totalMs = converges && pace.isKnown
    ? pace.baseMs + streamMsOf({ wireBytes, workMs: workOf(pages, speeds) }, pace) : null
  const obstacles = [
    ...(pace.isKnown && !converges && init.onTimeout === 'cancel' ? [doesNotConverge(changedPerMs, pageMs)] : []),
    ...(totalMs !== null && init.timeoutMs !== undefined && totalMs > init.timeoutMs && init.onTimeout === 'cancel'
      ? [tooLong(totalMs, init.timeoutMs)] : []),
  ]
  return {
    expected: {
      qemuBytes: Math.round(once.qemu + again * page.qemu), wireBytes: Math.round(wireBytes), literalRatio,
      totalMs: totalMs === null ? null : Math.round(totalMs),
      downtimeMs: downtimeOf(past.filter((move) => move.mode === mode && move.to === init.to)),
      pages,
    },
    obstacles,
  }
}

/** What this host takes for pages, as the rehearsal found. */
function speedsOf({ ref, sentBefore, literal, readMs, packedBytes, packMs }: Rehearsal): Speeds {
  const read = ref + sentBefore + literal
  return {
    pageMs: read === 0 ? 0 : readMs / read, literalMs: packedBytes === 0 ? 0 : packMs / packedBytes * PAGE_BYTES,
  }
}

/** Pages that the guest changes in a millisecond. */
function changeOf({ lookedAgain, changed, betweenMs, pages }: Rehearsal, scale: number): number {
  if (lookedAgain === 0 || betweenMs <= 0) return 0
  return changed / lookedAgain * pages * scale / betweenMs
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

function doesNotConverge(changedPerMs: number, pageMs: number): Obstacle {
  const changes = megabytes(changedPerMs * 1000 * PAGE_BYTES)
  return {
    code: 'does-not-converge',
    reason: `It changes ${changes} MB/s, and ${megabytes(PAGE_BYTES / pageMs * 1000)} MB/s of such pages can be ` +
      'carried to that host: pre-copy would not end. Use --mode postcopy, or --on-timeout.',
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
