import type { PageSourceKind } from '../../page/index.ts'
import type { IncomingPassageCounts } from '../incoming.ts'
import type { OutgoingPassageCounts } from '../outgoing.ts'

const BYTES_EACH = Float64Array.BYTES_PER_ELEMENT

/** Index of each count in the shared memory. */
const OUTGOING: Record<keyof OutgoingPassageCounts, number> = {
  streamBytes: 0, zero: 1, ref: 2, sentBefore: 3, literal: 4, rawBytes: 5, literalWireBytes: 6, sentBytes: 7,
  receivedBytes: 8,
}
const INCOMING: Record<Exclude<keyof IncomingPassageCounts, 'refsFilledBy'>, number> = {
  streamBytes: 0, sentBytes: 1, receivedBytes: 2,
}
const FILLED_BY: Record<PageSourceKind, number> = { sentBefore: 3, resident: 4, store: 5, peer: 6, source: 7 }

/** The counts of one passage, written in one thread and read in another. */
export class SharedCounts {
  readonly shared: SharedArrayBuffer
  readonly #values: Float64Array

  constructor(shared = new SharedArrayBuffer(Object.keys(OUTGOING).length * BYTES_EACH)) {
    this.shared = shared
    this.#values = new Float64Array(shared)
  }

  writeOutgoing(counts: OutgoingPassageCounts): void {
    this.#write(OUTGOING, counts)
  }

  writeIncoming(counts: IncomingPassageCounts): void {
    this.#write(INCOMING, counts)
    this.#write(FILLED_BY, counts.refsFilledBy)
  }

  outgoing(): OutgoingPassageCounts {
    return this.#read(OUTGOING)
  }

  incoming(): IncomingPassageCounts {
    return { ...this.#read(INCOMING), refsFilledBy: this.#read(FILLED_BY) }
  }

  #write<Name extends string>(places: Record<Name, number>, counts: Record<Name, number>): void {
    for (const name of Object.keys(places) as Name[]) this.#values[places[name]] = counts[name]
  }

  #read<Name extends string>(places: Record<Name, number>): Record<Name, number> {
    const counts = { ...places }
    for (const name of Object.keys(places) as Name[]) counts[name] = this.#values[places[name]]!
    return counts
  }
}
