import { StreamBuilder, type BuiltStream } from './streambuilder.ts'

export interface Packet {
  flags?: number
  alloc?: number
  pages?: readonly Uint8Array[]
  zeros?: number
  /** The payload that the header tells of; by default what there is. */
  payloadBytes?: number
  payload?: Uint8Array
}

/** Builds what QEMU writes to a multifd channel, and remembers where its pages lie. */
export class MultifdBuilder {
  readonly #stream = new StreamBuilder()
  readonly #pageOffsets: number[] = []
  #zeroPages = 0

  constructor(id = 0) {
    this.#stream.u32(0x11223344).u32(1).raw(new Uint8Array(16), id, new Uint8Array(39))
  }

  packet({ flags = 0, alloc = 128, pages = [], zeros = 0, payloadBytes, payload }: Packet): this {
    const stream = this.#stream
    stream.u32(0x11223344).u32(1).u32(flags).u32(alloc).u32(pages.length)
      .u32(payloadBytes ?? pages.length * 4096).u64(1).u32(zeros).raw(new Uint8Array(1308).fill(0xd5))
    if (payload !== undefined) stream.raw(payload)
    else {
      for (const page of pages) {
        this.#pageOffsets.push(stream.length)
        stream.raw(page)
      }
    }
    this.#zeroPages += zeros
    return this
  }

  deviceState(state: Uint8Array): this {
    this.#stream.u32(0x11223344).u32(1).u32(0x40).raw(Buffer.alloc(256, 'vfio')).u32(0).u32(state.length).raw(state)
    return this
  }

  raw(...parts: (number | string | Uint8Array)[]): this {
    this.#stream.raw(...parts)
    return this
  }

  build(): BuiltStream {
    return { ...this.#stream.build(), pageOffsets: this.#pageOffsets, zeroPages: this.#zeroPages }
  }
}
