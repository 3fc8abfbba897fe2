/** Pages of tests, known by number, and hosts that hold some of them. */
import { setBit } from '../../src/bytes/bits.ts'
import { MemoryNetwork, Standing, type Mesh, type MessageStream } from '../../src/mesh/index.ts'
import {
  createPageHasher, ID_BYTES, pack, PAGE_BYTES, type PageBatch, type PageSource, type Prefixes,
} from '../../src/page/index.ts'
import { systemClock, type Clock } from '../../src/runtime/clock.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { encodePagesHead } from '../../src/swap/frames.ts'
import {
  createSwap, type ArrivedPages, type FetchCounts, type FetchInit, type Swap, type SwapComponents, type WantedPages,
} from '../../src/swap/index.ts'
import { decodeAskerMessage, encodeSlice, SWAP_PROTOCOL, type AskerMessage } from '../../src/swap/wire.ts'
import { seededRandom } from './random.ts'

export const hasher = createPageHasher(new Uint8Array(32).fill(5))

/** Page `number`: a third noise, the rest repeats, so that it shrinks about as real ones do. */
export function madePage(number: number, noiseBytes = 1400): Buffer {
  const page = Buffer.alloc(PAGE_BYTES, number & 0xff)
  const random = seededRandom(number + 1)
  for (let at = 0; at < noiseBytes; at += 4) page.writeUInt32LE(Math.floor(random() * 2 ** 32), at)
  page.writeUInt32LE(number, PAGE_BYTES - 4)
  return page
}

/** Pages 0 to `count`, with their ids. */
export class MadePages {
  readonly bytes: Buffer
  readonly ids: Buffer
  readonly count: number
  readonly #numbers = new Map<string, number>()

  constructor(count: number, noiseBytes?: number) {
    this.bytes = Buffer.concat(Array.from({ length: count }, (_, number) => madePage(number, noiseBytes)))
    this.count = count
    this.ids = Buffer.alloc(count * ID_BYTES)
    hasher.hashPages(this.bytes, 0, count, this.ids, 0)
    for (let number = 0; number < count; number++) {
      this.#numbers.set(this.ids.toString('hex', number * ID_BYTES, number * ID_BYTES + 8), number)
    }
  }

  high(number: number): number {
    return this.ids.readUInt32BE(number * ID_BYTES)
  }

  low(number: number): number {
    return this.ids.readUInt32BE(number * ID_BYTES + 4)
  }

  page(number: number): Buffer {
    return this.bytes.subarray(number * PAGE_BYTES, (number + 1) * PAGE_BYTES)
  }

  numberOf(high: number, low: number): number {
    const id = Buffer.alloc(8)
    id.writeUInt32BE(high, 0)
    id.writeUInt32BE(low, 4)
    return this.#numbers.get(id.toString('hex')) ?? -1
  }

  prefixes(numbers: readonly number[]): Prefixes {
    return {
      count: numbers.length,
      high: Uint32Array.from(numbers, (number) => this.high(number)),
      low: Uint32Array.from(numbers, (number) => this.low(number)),
    }
  }

  wanted(numbers: readonly number[], holdersOf: (number: number) => readonly string[]): WantedPages {
    return { ...this.prefixes(numbers), holdersOf: (index) => holdersOf(numbers[index]!) }
  }

  /** A source of the pages of which `has` is true. */
  source(has: (number: number) => boolean, before?: (batch: PageBatch) => Promise<void> | void): PageSource {
    return {
      kind: 'store',
      fill: async (batch) => {
        await before?.(batch)
        const ids = Buffer.from(batch.ids.buffer, batch.ids.byteOffset, batch.ids.byteLength)
        for (let index = 0; index < batch.count; index++) {
          const at = index * ID_BYTES
          const number = this.numberOf(ids.readUInt32BE(at), ids.readUInt32BE(at + 4))
          if (number < 0 || !has(number)) continue
          this.page(number).copy(batch.bytes, index * PAGE_BYTES)
          batch.markFilled(index, 'store')
        }
      },
    }
  }
}

export interface SwapHost {
  name: string
  mesh: Mesh
  standing: Standing
  swap: Swap
}

export interface HostInit {
  has?: (number: number) => boolean
  sources?: readonly PageSource[]
  isPopular?: (high: number, low: number) => boolean
  confirm?: SwapComponents['confirm']
  bytesPerSecondMax?: number
  /** Of equals, the one that was named first is asked first. */
  inOrder?: boolean
}

export class SwapNetwork {
  readonly clock: Clock
  readonly network: MemoryNetwork
  readonly pages: MadePages
  readonly #hosts: SwapHost[] = []

  constructor(pages: MadePages, clock: Clock = systemClock) {
    this.clock = clock
    this.pages = pages
    this.network = new MemoryNetwork({ clock })
  }

  async add(name: string, init: HostInit = {}): Promise<SwapHost> {
    return await this.addTo(this.network.createMesh(name), init)
  }

  async addTo(mesh: Mesh, init: HostInit = {}): Promise<SwapHost> {
    const { clock } = this
    const standing = new Standing({ clock })
    let lot = 0
    const fraction = init.inOrder === true ? () => lot++ / 1000 : seededRandom(this.#hosts.length + 1)
    const swap = createSwap({
      clock, log: silentLog, mesh, hasher, standing,
      random: { bytes: (count) => new Uint8Array(count), fraction },
      sources: init.sources ?? [this.pages.source(init.has ?? (() => false))],
      isPopular: init.isPopular ?? (() => true),
      confirm: init.confirm ?? (async ({ count }) => new Uint8Array(count).fill(1)),
    }, { bytesPerSecondMax: init.bytesPerSecondMax ?? Infinity })
    await mesh.start()
    await swap.start()
    const host = { name: mesh.self.name, mesh, standing, swap }
    this.#hosts.push(host)
    return host
  }

  /** A host that answers as it likes. */
  async addHolder(name: string, serve: (holder: RawHolder) => Promise<void>): Promise<Mesh> {
    const mesh = this.network.createMesh(name)
    mesh.handle(SWAP_PROTOCOL, async (stream) => await serve(new RawHolder(stream, this.pages)))
    await mesh.start()
    return mesh
  }

  async end(): Promise<void> {
    for (const { swap, mesh } of this.#hosts.splice(0)) {
      await swap.stop()
      await mesh.stop()
    }
  }
}

/** The holder's end of a session, by hand. */
export class RawHolder {
  readonly stream: MessageStream
  readonly #pages: MadePages

  constructor(stream: MessageStream, pages: MadePages) {
    this.stream = stream
    this.#pages = pages
  }

  async want(): Promise<Extract<AskerMessage, { kind: 'want' }>> {
    for (;;) {
      const message = decodeAskerMessage(await this.stream.receive())
      if (message.kind === 'want') return message
    }
  }

  /** Answers with all pages, changed as the test likes before they are packed. */
  async answer(
    { sequence, prefixes }: Extract<AskerMessage, { kind: 'want' }>,
    change: (pages: Buffer) => Buffer = (pages) => pages,
    bytesMax = Infinity,
  ): Promise<void> {
    const bitmap = new Uint8Array(Math.ceil(prefixes.count / 8))
    for (let i = 0; i < prefixes.count; i++) setBit(bitmap, i)
    const pages = Buffer.concat(Array.from({ length: prefixes.count }, (_, i) =>
      this.#pages.page(this.#pages.numberOf(prefixes.high[i]!, prefixes.low[i]!))))
    const packed = await pack(change(pages))
    const frame = Buffer.concat([encodePagesHead(sequence, prefixes.count, bitmap, packed.length), packed])
    const end = Math.min(bytesMax, frame.length)
    for (let at = 0; at < end; at += 60_000) {
      await this.stream.send(encodeSlice(frame.subarray(at, Math.min(end, at + 60_000))))
    }
  }
}

/** What a fetch delivered: which pages, each checked byte by byte. */
export class Basket {
  readonly numbers: number[] = []
  calls = 0
  readonly #pages: MadePages
  readonly #wanted: readonly number[]

  constructor(pages: MadePages, wanted: readonly number[]) {
    this.#pages = pages
    this.#wanted = wanted
  }

  take({ count, ids, bytes, indices }: ArrivedPages): void {
    this.calls += 1
    for (let page = 0; page < count; page++) {
      const number = this.#wanted[indices[page]!]!
      const right = this.#pages.page(number).equals(bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)) &&
        ids.compare(this.#pages.ids, number * ID_BYTES, (number + 1) * ID_BYTES, page * ID_BYTES,
          (page + 1) * ID_BYTES) === 0
      if (!right) throw new Error(`page ${number} is not right`)
      this.numbers.push(number)
    }
  }

  /** All pages that came, in rising order. */
  get sorted(): number[] {
    return [...this.numbers].sort((a, b) => a - b)
  }
}

export function range(count: number, first = 0): number[] {
  return Array.from({ length: count }, (_, index) => first + index)
}

/** Fetches these pages from these hosts into a basket. */
export function fetchPages(
  host: SwapHost, pages: MadePages, numbers: readonly number[], holders: readonly string[] | ((n: number) => string[]),
  init: Partial<FetchInit> = {},
): { basket: Basket; counts: Promise<FetchCounts> } {
  const basket = new Basket(pages, numbers)
  const counts = host.swap.fetch(pages.wanted(numbers, typeof holders === 'function' ? holders : () => holders), {
    purpose: 'handoff', deliver: (arrived) => basket.take(arrived), signal: new AbortController().signal, ...init,
  })
  return { basket, counts }
}
