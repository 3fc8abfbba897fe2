import type { IncomingSummary } from '../conversation/index.ts'
import type { Endpoint } from '../net/endpoint.ts'
import type { PageBudget, PageHasher, PageSource, PrefixSet } from '../page/index.ts'
import {
  noRefsFilled, type IncomingPassageListener, type IncomingRun, type PassageLane,
} from '../passage/index.ts'
import { behind } from '../runtime/behind.ts'
import type { Log } from '../runtime/log.ts'
import { Prefetch, type PeerPages } from '../swap/index.ts'

export interface IncomingPassagesComponents {
  log: Log
  /** Where refs are filled from, nearest first; what they fill is verified. */
  sources: readonly PageSource[]
  /** Other hosts, asked for what is missing here while the stream runs. */
  peers: PeerPages
  /** Memory for what they give. */
  budget: PageBudget
}

/** The passages of one migration at its destination, and what other hosts give meanwhile. */
export class IncomingPassages {
  readonly #components: IncomingPassagesComponents
  readonly #passages: IncomingRun[] = []
  #prefetch: Prefetch | undefined
  /** Those of them that are channels of urgent pages. */
  readonly #urgent: IncomingRun[] = []
  /** What had come from other hosts when it was let go. */
  #peerBytes = 0

  constructor(components: IncomingPassagesComponents) {
    this.#components = components
  }

  get traffic(): { sentBytes: number; receivedBytes: number } {
    const counts = this.#passages.map((passage) => passage.counts())
    return {
      sentBytes: counts.reduce((sum, { sentBytes }) => sum + sentBytes, 0),
      receivedBytes: counts.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0),
    }
  }

  /** Bytes that QEMU accepted. */
  get streamBytes(): number {
    return bytesOf(this.#passages)
  }

  get summary(): Pick<IncomingSummary, 'streamBytes' | 'urgentBytes' | 'refsFilledBy' | 'peerBytes'> {
    const refsFilledBy = noRefsFilled()
    for (const passage of this.#passages) {
      for (const [kind, count] of Object.entries(passage.counts().refsFilledBy)) {
        refsFilledBy[kind as keyof typeof refsFilledBy] += count
      }
    }
    return {
      streamBytes: this.streamBytes, refsFilledBy, peerBytes: this.#prefetch?.receivedBytes ?? this.#peerBytes,
      ...(this.#urgent.length === 0 ? {} : { urgentBytes: bytesOf(this.#urgent) }),
    }
  }

  /** Fetches missing pages from other hosts; `tell` gets the numbers of those fetched. Rejects: `bad-frame`. */
  fetch(
    { census, bitmap }: { census: PrefixSet; bitmap: Uint8Array }, order: Buffer, source: string,
    tell: (numbers: Buffer) => void,
  ): Promise<void> {
    this.#prefetch = new Prefetch(this.#components, { tell })
    return this.#prefetch.start({ census, bitmap, order, source })
  }

  /** @param channel.mayHangUp QEMU may close this one while bytes are on their way. */
  start(
    { lane, hasher, publicHasher, qemu, mayHangUp }: {
      lane: PassageLane
      /** Hashes as the source does. */
      hasher: PageHasher
      /** Hashes public pages, if there may be references to them. */
      publicHasher: PageHasher | undefined
      qemu: Endpoint
      mayHangUp: boolean
    },
    listener: IncomingPassageListener,
  ): void {
    const { sources } = this.#components
    const fetched = this.#prefetch === undefined ? [] : [this.#prefetch.source]
    const passage = lane.startIncoming({ hasher, publicHasher, qemu, sources: [...sources, ...fetched] }, {
      mayHangUp, listener,
    })
    this.#passages.push(passage)
    if (mayHangUp) this.#urgent.push(passage)
  }

  /** Closes every connection at once and frees the fetched pages. */
  stop(): void {
    for (const passage of this.#passages) passage.stop()
    this.letGo()
  }

  /** What was fetched is of no use any more. */
  letGo(): void {
    const prefetch = this.#prefetch
    if (prefetch === undefined) return
    this.#peerBytes = prefetch.receivedBytes
    this.#prefetch = undefined
    behind(this.#components.log, 'pages are still being fetched from peers', prefetch.stop())
  }
}

function bytesOf(passages: readonly IncomingRun[]): number {
  return passages.reduce((sum, passage) => sum + passage.counts().streamBytes, 0)
}
