import type { Delivery } from '../page/index.ts'
import { assert } from '../runtime/assert.ts'

/** Whether pages that travel whole are compressed; `auto`: while the link is slower than this end makes batches. */
export type CompressionMode = 'auto' | 'always' | 'never'

/** How the literals of a batch travel: as they are, or under zstd of this level. */
export type CompressionLevel = 0 | 1 | 3 | 6

/** What is known of the way to the other end when a batch is packed. */
export interface LinkState {
  nowMs: number
  /** Bytes that the lane has not taken yet. */
  queuedBytes: number
  /** Of the bytes that may be on the wire, the share that is: 1 is full. */
  wireFill: number
  /** Bytes of all batches so far, as they travelled, and of those that were acknowledged. */
  sentBytes: number
  deliveredBytes: number
  /** How fast they were acknowledged lately; undefined before that was measured. */
  deliveredBytesPerSecond: number | undefined
}

/** A lane with so much in its queue is backed up; so is one with so much on the wire. */
const QUEUED_BYTES = 256 * 1024
const FILL_BACKED_UP = 3 / 4
const FILL_EMPTY = 1 / 2
/** Batches in a row that found the lane so, before something is changed. */
const EMPTY_BATCHES = 8
const BACKED_UP_BATCHES = 3
/** As many as fill the window: this end may make so many in one go, on however fast a link. */
const STEADY_BATCHES = 40
/** More than a link of 1 Gbit/s brings: beyond it, zstd takes longer than it saves. */
const FAST_BYTES_PER_SECOND = 150e6
/** A lane that is backed up for so long with raw literals shows how fast they arrive; rates are of 100 ms each. */
const RAW_RATE_MS = 200
/** Sent as they are to find that out: more than what passes a traffic shaper at once. */
const TRIAL_BYTES = 2 * 2 ** 20
/** Trials that turn out badly cost at most this share of what is sent, and half of it after each. */
const TRIAL_SHARE = 1 / 50
/** Of so many bytes, sent in one go, the last ones arrive as fast as the link is, even behind a traffic shaper. */
const BURST_BYTES_MIN = 1.5e6
/** Literals of so many bytes are worth a trial, and a higher level. */
const LARGE_BYTES = 128 * 1024
/** Below these rates the processor has time for the levels: they pack pages into 50 and 20 MB a second. */
const LEVEL_3_BYTES_PER_SECOND = 40e6
const LEVEL_6_BYTES_PER_SECOND = 20e6
/** What is assumed of literals before some were compressed. */
const PACKED_SHARE = 1 / 4
/** After raw literals backed up the lane, so many times as many batches must find it empty, at most. */
const PATIENCE_MAX = 128

export interface CompressionInit {
  mode: CompressionMode
  /** How fast the link was seen to be before, bytes a second; it must not be guessed. Default: nobody knows. */
  linkBytesPerSecond?: number
  /** The share of the link that this channel has beside those that fill it with it. Default 1. */
  share?: number
}

/** Literals that are sent as they are, to see how fast the link is. */
interface Trial {
  fromMs: number
  fromBytes: number
  /** `sentBytes` behind its last batch, once that is known. */
  untilBytes: number
}

/**
 * How fast a link is over which little but one large message went so far, bytes a second: what is said of its last
 * bytes. Undefined if it was not large enough to tell.
 */
export function linkRateOf(delivery: Delivery | undefined): number | undefined {
  return delivery !== undefined && delivery.bytes >= BURST_BYTES_MIN ? delivery.bytesPerSecond : undefined
}

/**
 * Decides batch by batch how literals travel. A slow link needs them compressed and a fast one does not, and what is
 * not known of a link counts as slow: bytes matter there more than time does elsewhere. Pure but for its own state.
 */
export class Compression {
  readonly #mode: CompressionMode
  /** Beyond it, zstd takes longer than it saves: bytes a second over this lane. */
  readonly #fastBytesPerSecond: number
  /** Batches in a row that found the lane empty, and backed up. */
  #empty = 0
  #backedUp = 0
  /** Since when, if the last batch found it backed up. */
  #backedUpFromMs = 0
  #isRaw = false
  /** Whether a trial found the link fast. */
  #isFast = false
  #patience = 1
  #trial: Trial | undefined
  #trialShare = TRIAL_SHARE
  #trialBytes = 0
  /** What compressed literals came to lately, as a share. */
  #packedShare = PACKED_SHARE

  constructor({ mode, linkBytesPerSecond = 0, share = 1 }: CompressionInit) {
    this.#mode = mode
    this.#fastBytesPerSecond = FAST_BYTES_PER_SECOND * share
    this.#isFast = this.#isRaw = linkBytesPerSecond >= FAST_BYTES_PER_SECOND
  }

  /** How literals of so many bytes shall travel now. */
  levelFor(literalBytes: number, link: LinkState): CompressionLevel {
    this.#look(link)
    if (this.#mode === 'never') return 0
    if (this.#mode === 'auto' && this.#goesRaw(literalBytes, link)) return 0
    return this.#levelOf(literalBytes, link)
  }

  /** Literals came to so many bytes on the wire, at this level. */
  packed(literalBytes: number, wireBytes: number, level: CompressionLevel): void {
    assert(wireBytes <= literalBytes, 'literals never travel larger than they are')
    if (literalBytes === 0) return
    if (level > 0) this.#packedShare += (wireBytes / literalBytes - this.#packedShare) / 8
    else if (this.#trial !== undefined) this.#trialBytes += literalBytes * (1 - this.#packedShare)
  }

  #look({ nowMs, queuedBytes, wireFill }: LinkState): void {
    const isBackedUp = queuedBytes >= QUEUED_BYTES || wireFill >= FILL_BACKED_UP
    const isEmpty = queuedBytes === 0 && wireFill <= FILL_EMPTY
    // What is neither leaves both counts as they are.
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
   * Whether raw literals back the lane up and it is the link that cannot carry them. Where they arrive as fast as zstd
   * could make them the other end is what is slow: to compress would slow this end down as well.
   */
  #isTooSlow({ nowMs, deliveredBytesPerSecond = 0 }: LinkState): boolean {
    return this.#backedUp >= BACKED_UP_BATCHES && nowMs - this.#backedUpFromMs >= RAW_RATE_MS &&
      deliveredBytesPerSecond < this.#fastBytesPerSecond
  }

  #canAffordTrial({ sentBytes }: LinkState): boolean {
    return this.#trialBytes + TRIAL_BYTES * (1 - this.#packedShare) <= sentBytes * this.#trialShare
  }

  /** Whether literals go on travelling as they are for the trial. It ends when all of it has arrived, or too late. */
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
