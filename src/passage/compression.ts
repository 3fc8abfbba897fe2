import type { Delivery } from '../page/index.ts'
import { assert } from '../runtime/assert.ts'

/** Whether pages sent whole are compressed; `auto`: while the link is slower than this end makes batches. */
export type CompressionMode = 'auto' | 'always' | 'never'

/** zstd level of a batch's literals; 0: uncompressed. */
export type CompressionLevel = 0 | 1 | 3 | 6

/** State of the connection to the other end when a batch is packed. */
export interface LinkState {
  nowMs: number
  /** Bytes queued for the lane. */
  queuedBytes: number
  /** Bytes on the wire as a share of those allowed; 1: full. */
  wireFill: number
  /** Wire bytes of all batches so far, and of the acknowledged ones. */
  sentBytes: number
  deliveredBytes: number
  /** Recent rate of acknowledgements; undefined before it was measured. */
  deliveredBytesPerSecond: number | undefined
}

/** A lane counts as backed up with this many bytes in its queue, or with this fill of the wire. */
const QUEUED_BYTES = 256 * 1024
const FILL_BACKED_UP = 3 / 4
const FILL_EMPTY = 1 / 2
/** Batches in a row that find the lane empty, or backed up, before the level changes. */
const EMPTY_BATCHES = 8
const BACKED_UP_BATCHES = 3
/** Batches of a full window: this end may make as many in one burst, however fast the link is. */
const STEADY_BATCHES = 40
/** More than a link of 1 Gbit/s carries: above it, zstd takes longer than it saves. */
const FAST_BYTES_PER_SECOND = 150e6
/** A lane that raw literals have backed up for this time shows their rate; rates are measured over 100 ms. */
const RAW_RATE_MS = 200
/** Raw bytes of a trial: more than the burst that a traffic shaper lets pass. */
const TRIAL_BYTES = 2 * 2 ** 20
/** Failed trials may cost at most this share of the bytes sent, halved after each failure. */
const TRIAL_SHARE = 1 / 50
/** A burst of this size is long enough for its last bytes to arrive at the link's rate, even with a traffic shaper. */
const BURST_BYTES_MIN = 1.5e6
/** Least size of literals for a trial or a higher level. */
const LARGE_BYTES = 128 * 1024
/** Below these rates there is CPU time for the levels, which produce 50 and 20 MB a second. */
const LEVEL_3_BYTES_PER_SECOND = 40e6
const LEVEL_6_BYTES_PER_SECOND = 20e6
/** Assumed compression ratio before it was measured. */
const PACKED_SHARE = 1 / 4
/** After raw literals have backed up the lane, more batches must find it empty: at most this many times as many. */
const PATIENCE_MAX = 128

export interface CompressionInit {
  mode: CompressionMode
  /** Measured speed of the link, bytes a second; never a guess. Default: unknown. */
  linkBytesPerSecond?: number
  /** This channel's share of the link, beside the other busy channels. Default 1. */
  share?: number
}

/** Literals sent uncompressed to measure the link. */
interface Trial {
  fromMs: number
  fromBytes: number
  /** `sentBytes` after its last batch, once that was sent. */
  untilBytes: number
}

/**
 * Speed of a link, bytes a second, from its delivery rate after one large message. Undefined if the message was too
 * small to tell.
 */
export function linkRateOf(delivery: Delivery | undefined): number | undefined {
  return delivery !== undefined && delivery.bytes >= BURST_BYTES_MIN ? delivery.bytesPerSecond : undefined
}

/**
 * The level that most literals would get on a link of this rate, bytes a second; undefined: unknown, which counts as
 * slow. Pure.
 */
export function usualLevel(mode: CompressionMode, bytesPerSecond: number | undefined): CompressionLevel {
  if (mode === 'never') return 0
  if (bytesPerSecond === undefined) return 1
  if (mode === 'auto' && bytesPerSecond >= FAST_BYTES_PER_SECOND) return 0
  if (bytesPerSecond <= LEVEL_6_BYTES_PER_SECOND) return 6
  return bytesPerSecond <= LEVEL_3_BYTES_PER_SECOND ? 3 : 1
}

/**
 * Chooses the compression level batch by batch. Slow links need compression and fast ones do not. An unknown link
 * counts as slow, because a wrong choice costs more on a slow link. No I/O.
 */
export class Compression {
  readonly #mode: CompressionMode
  /** Bytes a second over this lane above which zstd takes longer than it saves. */
  readonly #fastBytesPerSecond: number
  /** Batches in a row that found the lane empty, and those that found it backed up. */
  #empty = 0
  #backedUp = 0
  /** Start of the present backlog, if the last batch found the lane backed up. */
  #backedUpFromMs = 0
  #isRaw = false
  /** Whether a trial found the link fast. */
  #isFast = false
  #patience = 1
  #trial: Trial | undefined
  #trialShare = TRIAL_SHARE
  #trialBytes = 0
  /** Recent compression ratio of literals. */
  #packedShare = PACKED_SHARE

  constructor({ mode, linkBytesPerSecond = 0, share = 1 }: CompressionInit) {
    this.#mode = mode
    this.#fastBytesPerSecond = FAST_BYTES_PER_SECOND * share
    this.#isFast = this.#isRaw = linkBytesPerSecond >= FAST_BYTES_PER_SECOND
  }

  /** The level for literals of this size now. */
  levelFor(literalBytes: number, link: LinkState): CompressionLevel {
    this.#look(link)
    if (this.#mode === 'never') return 0
    if (this.#mode === 'auto' && this.#goesRaw(literalBytes, link)) return 0
    return this.#levelOf(literalBytes, link)
  }

  /** Records the size of literals on the wire at this level. */
  packed(literalBytes: number, wireBytes: number, level: CompressionLevel): void {
    assert(wireBytes <= literalBytes, 'literals never travel larger than they are')
    if (literalBytes === 0) return
    if (level > 0) this.#packedShare += (wireBytes / literalBytes - this.#packedShare) / 8
    else if (this.#trial !== undefined) this.#trialBytes += literalBytes * (1 - this.#packedShare)
  }

  #look({ nowMs, queuedBytes, wireFill }: LinkState): void {
    const isBackedUp = queuedBytes >= QUEUED_BYTES || wireFill >= FILL_BACKED_UP
    const isEmpty = queuedBytes === 0 && wireFill <= FILL_EMPTY
    // A lane that is neither empty nor backed up changes no count.
    if (this.#backedUp === 0) this.#backedUpFromMs = nowMs
    this.#empty = isEmpty ? this.#empty + 1 : isBackedUp ? 0 : this.#empty
    this.#backedUp = isBackedUp ? this.#backedUp + 1 : isEmpty ? 0 : this.#backedUp
  }

  #goesRaw(literalBytes: number, link: LinkState): boolean {
    if (this.#isRaw && this.#isTooSlow(link)) {
      this.#isRaw = false
      this.#patience = Math.min(PATIENCE_MAX, this.#patience * 2)
    }
    if (this.#isRaw) return true
    if (this.#trial !== undefined) return this.#goesOnTrying(this.#trial, link)
    if (this.#empty < EMPTY_BATCHES * this.#patience) return false
    if (this.#isFast) this.#isRaw = true
    else if (literalBytes >= LARGE_BYTES && this.#canAffordTrial(link)) {
      this.#trial = { fromMs: link.nowMs, fromBytes: link.sentBytes, untilBytes: Infinity }
    }
    return this.#isRaw || this.#trial !== undefined
  }

  /**
   * Whether raw literals back the lane up because the link is slow. If they arrive as fast as zstd could produce them,
   * the other end is the bottleneck, and compressing would slow this end down as well.
   */
  #isTooSlow({ nowMs, deliveredBytesPerSecond = 0 }: LinkState): boolean {
    return this.#backedUp >= BACKED_UP_BATCHES && nowMs - this.#backedUpFromMs >= RAW_RATE_MS &&
      deliveredBytesPerSecond < this.#fastBytesPerSecond
  }

  #canAffordTrial({ sentBytes }: LinkState): boolean {
    return this.#trialBytes + TRIAL_BYTES * (1 - this.#packedShare) <= sentBytes * this.#trialShare
  }

  /** Whether the trial goes on. It ends when all its bytes have arrived, or when its time is over. */
  #goesOnTrying(trial: Trial, { nowMs, sentBytes, deliveredBytes }: LinkState): boolean {
    if (trial.untilBytes === Infinity && sentBytes - trial.fromBytes >= TRIAL_BYTES) trial.untilBytes = sentBytes
    const isDelivered = deliveredBytes >= trial.untilBytes
    const bytes = isDelivered ? trial.untilBytes - trial.fromBytes : TRIAL_BYTES
    const isLate = bytes * 1000 < this.#fastBytesPerSecond * (nowMs - trial.fromMs)
    if (isLate) {
      this.#trial = undefined
      this.#trialShare /= 2
    } else if (isDelivered) {
      this.#trial = undefined
      this.#isFast = this.#isRaw = true
    }
    return this.#isRaw || (this.#trial !== undefined && trial.untilBytes === Infinity)
  }

  #levelOf(literalBytes: number, { queuedBytes, deliveredBytesPerSecond = Infinity }: LinkState): CompressionLevel {
    if (this.#backedUp < STEADY_BATCHES) return 1
    if (deliveredBytesPerSecond <= LEVEL_6_BYTES_PER_SECOND) return 6
    const isSlow = deliveredBytesPerSecond <= LEVEL_3_BYTES_PER_SECOND || queuedBytes >= QUEUED_BYTES
    return isSlow && literalBytes >= LARGE_BYTES ? 3 : 1
  }
}
