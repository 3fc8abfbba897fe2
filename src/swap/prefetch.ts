import {
  FetchedPages, lastFirst, PageColumns, prefixHigh, prefixLow, type PageBudget, type PageSource, type Prefixes,
  type PrefixSet,
} from '../page/index.ts'
import { describeError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { inPieces } from '../runtime/turn.ts'
import type { ArrivedPages } from './api.ts'

/** Pages of hosts other than the source, as an incoming handoff sees them. */
export interface PeerPages {
  /** Of prefixes whose first `bits` bits are known, those of pages that others are known to have. */
  among(prefixes: Prefixes, bits: number): Prefixes & { indices: Uint32Array }
  /**
   * Fetches pages, from any host but `source`; `deliver` gets them hashed. Resolves when each was delivered or given
   * up; rejects only with the signal's reason.
   */
  fetch(
    wanted: Prefixes, init: { source: string; deliver: (pages: ArrivedPages) => void; signal: AbortSignal },
  ): Promise<unknown>
  /** Bytes received so far by all fetches for handoffs. */
  readonly receivedBytes: number
}

export interface PrefetchInit {
  /** The source's list of pages. */
  census: PrefixSet
  /** One bit for each of them: whether this host has it. */
  bitmap: Uint8Array
  /** Two bytes for each page that it lacks: in which part of the guest's memory it is. */
  order: Buffer
  /** The host from which the guest comes. */
  source: string
}

/** Pages that one handoff may fetch: 256 MiB, which are held until it is over. */
const PAGES_MAX = 2 ** 16
const INDEX_BYTES = 4

/**
 * Fetches, while the stream runs, pages that the guest needs and this host lacks from other hosts, and tells the source
 * which arrived: it then sends references. Nothing waits for this: a page that has not arrived is sent by the source.
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

  /** @param init.tell sends the indices of prefixes in the source's list, 4 bytes each. */
  constructor(
    components: { peers: PeerPages; budget: PageBudget; log: Log }, init: { tell: (indices: Buffer) => void },
  ) {
    this.#peers = components.peers
    this.#budget = components.budget
    this.#log = components.log
    this.#tell = init.tell
  }

  /** The pages that have arrived so far. */
  readonly source: PageSource = {
    kind: 'peer',
    isVerified: true,
    fill: async (batch) => this.#pages?.fill(batch),
  }

  /**
   * Begins to fetch the pages that the bitmap lacks. The order tells where in its memory the guest has them: the stream
   * comes from the front, so this begins at the end. Rejects with PagemeshError `bad-frame` if they do
   * not fit together.
   */
  async start({ census, bitmap, order, source }: PrefetchInit): Promise<void> {
    const wanted = await this.#wantedOf(census, await lastFirst(census.prefixes.length, bitmap, order))
    if (this.#abort.signal.aborted) return
    const count = this.#budget.reserve(wanted.count)
    if (count === 0) return
    this.#receivedBefore = this.#peers.receivedBytes
    const pages = new FetchedPages(count)
    this.#pages = pages
    const deliver = (arrived: ArrivedPages): void => {
      pages.add(arrived)
      const told = Buffer.allocUnsafe(arrived.count * INDEX_BYTES)
      for (let i = 0; i < arrived.count; i++) told.writeUInt32BE(wanted.values[arrived.indices[i]!]!, i * INDEX_BYTES)
      this.#tell(told)
    }
    const { signal } = this.#abort
    this.#fetching = this.#peers.fetch({ high: wanted.high, low: wanted.low, count }, { source, deliver, signal })
      .then(() => 'all were asked for', describeError)
      .then((end) => this.#log.debug('pages fetched from peers', { wanted: count, fetched: pages.count, end }))
  }

  /** The first of these that peers have. There may be many: they are looked through in pieces. */
  async #wantedOf({ bits, prefixes }: PrefixSet, lacking: Uint32Array): Promise<PageColumns> {
    const wanted = new PageColumns(Math.min(PAGES_MAX, lacking.length))
    await inPieces(lacking.length, (from, to) => {
      if (wanted.isFull) return
      const piece = new PageColumns(to - from)
      for (let next = from; next < to; next++) {
        const prefix = prefixes[lacking[next]!]!
        piece.push(prefixHigh(prefix, bits), prefixLow(prefix, bits), lacking[next]!)
      }
      const { count, high, low, indices } = this.#peers.among(piece, bits)
      for (let found = 0; found < count && !wanted.isFull; found++) {
        wanted.push(high[found]!, low[found]!, piece.values[indices[found]!]!)
      }
    })
    return wanted
  }

  /** Bytes received from peers since it began; fetches for other guests that arrive meanwhile are included. */
  get receivedBytes(): number {
    return this.#pages === undefined ? 0 : this.#peers.receivedBytes - this.#receivedBefore
  }

  /** The stream has ended: more pages are useless, arrived ones are still needed. */
  finish(): void {
    this.#abort.abort(new Error('the stream has ended'))
  }

  /** Ends running fetches and releases the pages; idempotent. */
  async stop(): Promise<void> {
    this.finish()
    await this.#fetching
    this.#budget.release(this.#pages?.room ?? 0)
    this.#pages = undefined
  }
}
