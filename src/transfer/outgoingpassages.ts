import type { Endpoint } from '../net/endpoint.ts'
import type { PageHasher, Prefixes } from '../page/index.ts'
import type {
  CompressionMode, KnownPublic, OutgoingPassageCounts, OutgoingPassageListener, OutgoingRun, PassageLane,
} from '../passage/index.ts'
import type { StreamKnowledgeData } from '../qemu/index.ts'

export interface OutgoingPassagesInit {
  compression: CompressionMode
  /** Knowledge from the earlier connection of a cut post-copy. */
  continuation: StreamKnowledgeData | undefined
  /** Whether the source QEMU is heard out on the main connection before it is told of an end at the destination. */
  hearsOut?: boolean
}

export interface OutgoingPassageStart {
  lane: PassageLane
  /** Hashes as the destination does. */
  hasher: PageHasher
  qemu: Endpoint
  /** The first connection of the migration, or one beside it. */
  isMain: boolean
  /** The one for urgent pages. */
  isUrgent?: boolean
  /** The main connection goes on where an earlier one was cut. */
  resumes: boolean
  /** The pages that the destination has. */
  known: Prefixes
  bytesPerSecondMax: number
  /** Measured speed of the link; undefined if unknown. */
  linkBytesPerSecond?: number | undefined
  /** The share of the link that this connection has beside others with pages; undefined: nobody knows. */
  linkShare?: number | undefined
  listener: OutgoingPassageListener
}

/** The passages of one migration at its source: they share what is known of the stream, and of the destination. */
export class OutgoingPassages {
  readonly #init: OutgoingPassagesInit
  readonly #passages: OutgoingRun[] = []
  #main: OutgoingRun | undefined
  readonly #urgent: OutgoingRun[] = []
  /** What came to the destination from elsewhere: pages that come before a stream begins count for it, too. */
  readonly #fetched: Prefixes[] = []
  #public: KnownPublic | undefined

  constructor(init: OutgoingPassagesInit) {
    this.#init = init
  }

  get counts(): OutgoingPassageCounts[] {
    return this.#passages.map((passage) => passage.counts())
  }

  /** Bytes of the streams of urgent pages. */
  get urgentBytes(): number {
    return this.#urgent.reduce((sum, passage) => sum + passage.counts().streamBytes, 0)
  }

  /** Knowledge for a later connection of the same migration. */
  get knowledge(): StreamKnowledgeData | undefined {
    return this.#main?.knowledge() ?? this.#init.continuation
  }

  start(order: OutgoingPassageStart): void {
    const { lane, hasher, qemu, isMain, resumes, known } = order
    const { bytesPerSecondMax, linkBytesPerSecond, linkShare, listener } = order
    const { knowledge } = this
    const passage = lane.startOutgoing({ hasher, qemu }, {
      known, compression: this.#init.compression, bytesPerSecondMax, channel: isMain ? 'main' : 'beside',
      hearsOut: isMain && this.#init.hearsOut === true,
      ...(linkBytesPerSecond === undefined ? {} : { linkBytesPerSecond }),
      ...(linkShare === undefined ? {} : { linkShare }),
      ...((resumes || !isMain) && knowledge !== undefined ? { continuation: knowledge } : {}),
      listener: {
        ...listener,
        mark: (mark) => {
          // Urgent pages may come from now on, on a channel that tells nothing of the blocks that they are of.
          if (mark === 'package' || mark === 'resume') this.#tellKnowledge()
          listener.mark(mark)
        },
      },
    })
    if (isMain) this.#main = passage
    if (order.isUrgent === true) this.#urgent.push(passage)
    this.#passages.push(passage)
    for (const pages of this.#fetched) passage.addKnown(pages)
    if (this.#public !== undefined) passage.setPublic(this.#public)
  }

  addKnown(pages: Prefixes): void {
    this.#fetched.push(pages)
    for (const passage of this.#passages) passage.addKnown(pages)
  }

  /** Public pages that the destination has, if it has some. */
  setPublic(known: KnownPublic | undefined): void {
    this.#public = known
    if (known === undefined) return
    for (const passage of this.#passages) passage.setPublic(known)
  }

  /** Closes every connection at once. */
  stop(): void {
    for (const passage of this.#passages) passage.stop()
  }

  #tellKnowledge(): void {
    const knowledge = this.#main?.knowledge()
    // It was said as the main one began: those beside it begin later, and are given it then.
    if (knowledge === undefined) return
    for (const passage of this.#passages) if (passage !== this.#main) passage.addKnowledge(knowledge)
  }
}
