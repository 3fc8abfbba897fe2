import { prefixHigh, prefixLow, type PageSource, type Prefixes, type PrefixSet } from '../page/index.ts'
import { describeError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { FetchedPages } from './fetchedpages.ts'
import type { PageBudget } from './pagebudget.ts'

/** Pages of other hosts than the source, as an incoming handoff sees them. */
export interface PeerPages {
  /** Of prefixes of which the first `bits` bits are known, those that begin a page that others are known to have. */
  among(prefixes: Prefixes, bits: number): Prefixes & { indices: Uint32Array }
  /**
   * Fetches pages, from anybody but `source`; `deliver` gets them hashed. Resolves when each was delivered or given
   * up; rejects with the signal's reason only.
   */
  fetch(
    wanted: Prefixes, init: { source: string; deliver: (pages: DeliveredPages) => void; signal: AbortSignal },
  ): Promise<unknown>
  /** Bytes that came over the wire so far, in all that was fetched for handoffs. */
  readonly receivedBytes: number
}

export interface DeliveredPages {
  count: number
  /** 16 bytes each. */
  ids: Buffer
  /** 4096 bytes each. */
  bytes: Buffer
  /** Which of the wanted pages each one is. */
  indices: Uint32Array
}

/** Pages that one handoff may fetch: 256 MiB of them are held until it is over. */
const PAGES_MAX = 2 ** 16
const INDEX_BYTES = 4

/**
 * Fetches, while the stream runs, what a guest needs and this host lacks from other hosts, and tells the source of each
 * page that came: it sends a reference from then on. Nobody waits for it: what has not come travels as it would have.
 */
export class Prefetch {
  readonly #peers: PeerPages
  readonly #budget: PageBudget
  readonly #log: Log
  readonly #abort = new AbortController()
  readonly #tell: (indices: Buffer) => void
  #pages: FetchedPages | undefined
  #fetching: Promise<void> = Promise.resolve()
  #receivedBefore = 0

  /** @param init.tell sends the numbers of prefixes, 4 bytes each, counted through the set that the source sent. */
  constructor(
    components: { peers: PeerPages; budget: PageBudget; log: Log }, init: { tell: (indices: Buffer) => void },
  ) {
    this.#peers = components.peers
    this.#budget = components.budget
    this.#log = components.log
    this.#tell = init.tell
  }

  /** What has come so far. */
  readonly source: PageSource = {
    kind: 'peer',
    isVerified: true,
    fill: async (batch) => this.#pages?.fill(batch),
  }

  /** Begins to fetch what the bitmap says is lacking. */
  start(set: PrefixSet, bitmap: Uint8Array, source: string): void {
    const lacking = lackingOf(set, bitmap)
    const wanted = this.#peers.among(lacking, set.bits)
    const count = this.#budget.reserve(Math.min(PAGES_MAX, wanted.count))
    if (count === 0) return
    this.#receivedBefore = this.#peers.receivedBytes
    const pages = new FetchedPages(count)
    this.#pages = pages
    const numbers = wanted.indices.subarray(0, count).map((index) => lacking.numbers[index]!)
    const deliver = (arrived: DeliveredPages): void => {
      pages.add(arrived)
      const told = Buffer.allocUnsafe(arrived.count * INDEX_BYTES)
      for (let i = 0; i < arrived.count; i++) told.writeUInt32BE(numbers[arrived.indices[i]!]!, i * INDEX_BYTES)
      this.#tell(told)
    }
    this.#fetching = this.#peers.fetch({ ...wanted, count }, { source, deliver, signal: this.#abort.signal })
      .then(() => 'all were asked for', describeError)
      .then((end) => this.#log.debug('pages fetched from peers', { wanted: count, fetched: pages.count, end }))
  }

  /** Bytes that came from peers since it began; those for other guests that arrive meanwhile are among them. */
  get receivedBytes(): number {
    return this.#pages === undefined ? 0 : this.#peers.receivedBytes - this.#receivedBefore
  }

  /** The stream has ended: more is of no use, what came is still needed. */
  finish(): void {
    this.#abort.abort(new Error('the stream has ended'))
  }

  /** Ends what is under way and lets go of what came; idempotent. */
  async stop(): Promise<void> {
    this.finish()
    await this.#fetching
    this.#budget.release(this.#pages?.room ?? 0)
    this.#pages = undefined
  }
}

/** The prefixes whose bit is not set, and the number of each in the set. */
function lackingOf(set: PrefixSet, bitmap: Uint8Array): Prefixes & { numbers: Uint32Array } {
  const { bits, prefixes } = set
  const lacking = {
    count: 0, high: new Uint32Array(prefixes.length), low: new Uint32Array(prefixes.length),
    numbers: new Uint32Array(prefixes.length),
  }
  for (let number = 0; number < prefixes.length; number++) {
    if ((bitmap[number >>> 3]! & (1 << (number & 7))) !== 0) continue
    lacking.high[lacking.count] = prefixHigh(prefixes[number]!, bits)
    lacking.low[lacking.count] = prefixLow(prefixes[number]!, bits)
    lacking.numbers[lacking.count++] = number
  }
  return lacking
}
