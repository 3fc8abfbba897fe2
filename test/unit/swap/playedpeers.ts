import { ID_BYTES } from '../../../src/page/index.ts'
import type { ArrivedPages } from '../../../src/swap/index.ts'
import type { PeerPages } from '../../../src/swap/prefetch.ts'

/** Other hosts that have `pages`, and give them when the test says so. */
export class PlayedPeers implements PeerPages {
  receivedBytes = 100
  source = ''
  wanted = 0
  /** High halves of the prefixes that were wanted, the most urgent first. */
  order: number[] = []
  readonly #pages: ArrivedPages
  #deliver: ((pages: ArrivedPages) => void) | undefined
  #signal: AbortSignal | undefined
  #resolve: (() => void) | undefined

  constructor(pages: ArrivedPages) {
    this.#pages = pages
  }

  get isAborted(): boolean {
    return this.#signal?.aborted === true
  }

  among(prefixes: Parameters<PeerPages['among']>[0]): ReturnType<PeerPages['among']> {
    const { ids, count } = this.#pages
    const found = {
      count: 0, high: new Uint32Array(count), low: new Uint32Array(count), indices: new Uint32Array(count),
    }
    for (let page = 0; page < count; page++) {
      for (let index = 0; index < prefixes.count; index++) {
        const high = ids.readUInt32BE(page * ID_BYTES)
        const low = ids.readUInt32BE(page * ID_BYTES + 4)
        if (prefixes.high[index] !== high || prefixes.low[index]! >>> 24 !== low >>> 24) continue
        found.high[found.count] = high
        found.low[found.count] = low
        found.indices[found.count++] = index
      }
    }
    return found
  }

  async fetch(...[wanted, { source, deliver, signal }]: Parameters<PeerPages['fetch']>): Promise<void> {
    this.source = source
    this.wanted = wanted.count
    this.order = [...wanted.high.subarray(0, wanted.count)]
    this.#deliver = deliver
    this.#signal = signal
    await new Promise<void>((resolve, reject) => {
      this.#resolve = resolve
      signal.addEventListener('abort', () => reject(signal.reason))
    })
  }

  give(): void {
    this.receivedBytes += 5000
    this.#deliver!({ ...this.#pages, count: this.wanted })
    this.#resolve!()
  }
}
