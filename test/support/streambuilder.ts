/**
 * Builds migration streams as QEMU writes them, piece by piece, and remembers where their pages lie:
 * what a reader of the stream should say. Every method returns the builder, so that a test reads like the stream.
 */
import type { StreamMark } from '../../src/qemu/index.ts'

/** A RAM block of a synthetic guest. */
export interface SyntheticBlock {
  name: string
  /** 4096 bytes each; undefined is a page of zeros. */
  pages: readonly (Uint8Array | undefined)[]
}

export interface BuiltStream {
  bytes: Uint8Array
  /** Where each page's bytes begin, in the order of the stream. */
  pageOffsets: number[]
  zeroPages: number
  marks: { mark: StreamMark, offset: number }[]
}

export const RAM_SECTION = 2
/** The machine whose configuration section the builder writes. */
export const MACHINE = 'pc-i440fx-7.2'

const PAGE_BYTES = 4096
const SAME_BLOCK = 0x020

export class StreamBuilder {
  readonly #pieces: Uint8Array[] = []
  #length = 0
  #block: string | undefined
  readonly #pageOffsets: number[] = []
  #zeroPages = 0
  /** The next section is the first one behind a device package. */
  #handsOver = false
  readonly #marks: { mark: StreamMark, offset: number }[] = []

  /** Offset of what is appended next. */
  get length(): number {
    return this.#length
  }

  build(): BuiltStream {
    return {
      bytes: Buffer.concat(this.#pieces),
      pageOffsets: this.#pageOffsets,
      zeroPages: this.#zeroPages,
      marks: this.#marks,
    }
  }

  /** Appends bytes as they are; numbers are single bytes, strings are their letters. */
  raw(...parts: (number | string | Uint8Array)[]): this {
    for (const part of parts) {
      const bytes = typeof part === 'number' ? Uint8Array.of(part) : typeof part === 'string' ? Buffer.from(part) : part
      this.#pieces.push(bytes)
      this.#length += bytes.length
    }
    return this
  }

  u16(value: number): this {
    return this.raw(value >> 8 & 0xff, value & 0xff)
  }

  u32(value: number): this {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(value)
    return this.raw(bytes)
  }

  u64(value: number | bigint): this {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64BE(BigInt(value))
    return this.raw(bytes)
  }

  name(text: string): this {
    return this.raw(text.length, text)
  }

  /** 'QEVM', version 3. */
  header(): this {
    return this.raw('QEVM').u32(3)
  }

  /** The configuration section; `subsections` appends what follows the machine's name. */
  configuration(subsections: (builder: this) => unknown = () => {}): this {
    this.raw(0x07).u32(MACHINE.length).raw(MACHINE)
    subsections(this)
    return this
  }

  capabilities(...names: string[]): this {
    this.raw(0x05).name('configuration/capabilities').u32(1).u32(names.length)
    for (const name of names) this.name(name)
    return this
  }

  targetPageBits(bits: number): this {
    return this.raw(0x05).name('configuration/target-page-bits').u32(1).u32(bits)
  }

  command(number: number, payload: Uint8Array = new Uint8Array(0)): this {
    if (number === 9) {
      this.mark('resume')
      this.#handsOver = true
    }
    return this.raw(0x08).u16(number).u16(payload.length).raw(payload)
  }

  /** POSTCOPY_ADVISE with all blocks' page sizes together. */
  advise(pageSizes = 4096): this {
    return this.raw(0x08).u16(3).u16(16).u64(pageSizes).u64(PAGE_BYTES)
  }

  /** The device package of a post-copy, around `stream`. */
  packaged(stream: Uint8Array): this {
    this.mark('package')
    this.#handsOver = true
    return this.raw(0x08).u16(7).u16(4).u32(stream.length).raw(stream)
  }

  /** Header of a START (1) or FULL (4) section. */
  sectionHeader(type: 1 | 4, id: number, name: string, version = 1): this {
    return this.raw(type).u32(id).name(name).u32(0).u32(version)
  }

  /** The section that tells the guest's run state. */
  globalState(id: number, state: string): this {
    const name = Buffer.alloc(100)
    name.write(state, 'latin1')
    return this.sectionHeader(4, id, 'globalstate').u32(state.length + 1).raw(name).footer(id)
  }

  footer(id: number): this {
    return this.raw(0x7e).u32(id)
  }

  /** RAM's first section with the list of blocks, as QEMU writes it for plain blocks. */
  ramStart(blocks: readonly { name: string, bytes: number }[]): this {
    return this.ramStartHeader(blocks.reduce((sum, block) => sum + block.bytes, 0)).blocks(blocks).ramEos()
  }

  /** RAM's first section up to where the first block stands. */
  ramStartHeader(totalBytes: number): this {
    this.mark('ramStart')
    return this.sectionHeader(1, RAM_SECTION, 'ram', 4).u64(totalBytes + 0x004)
  }

  blocks(blocks: readonly { name: string, bytes: number }[]): this {
    for (const block of blocks) this.name(block.name).u64(block.bytes)
    return this
  }

  ramPart(): this {
    this.#handOver()
    return this.raw(0x02).u32(RAM_SECTION)
  }

  ramEnd(): this {
    this.#handOver()
    this.mark('ramEnd')
    return this.raw(0x03).u32(RAM_SECTION)
  }

  /** The end of RAM's records, and the section's footer. */
  ramEos(): this {
    return this.u64(0x010).footer(RAM_SECTION)
  }

  /** A page record; names the block unless it is the one of the record before. */
  page(block: string, offset: number, bytes: Uint8Array): this {
    this.record(0x008, block, offset)
    this.#pageOffsets.push(this.#length)
    return this.raw(bytes)
  }

  zeroPage(block: string, offset: number): this {
    this.#zeroPages += 1
    return this.record(0x002, block, offset).raw(0x00)
  }

  /** The head of any record. */
  record(flags: number, block: string, offset: number): this {
    const isSameBlock = block === this.#block
    this.#block = block
    this.u64(offset + flags + (isSameBlock ? SAME_BLOCK : 0))
    return isSameBlock ? this : this.name(block)
  }

  /** The next record names its block, as the first one of a connection does. */
  forgetBlock(): this {
    this.#block = undefined
    return this
  }

  eof(): this {
    this.mark('eof')
    return this.raw(0x00)
  }

  /** The first section behind a device package, or of a connection that goes on behind it. */
  #handOver(): void {
    if (this.#handsOver) this.mark('handedOver')
    this.#handsOver = false
  }

  /** Says that the reader should tell of `mark` here. */
  mark(mark: StreamMark): this {
    this.#marks.push({ mark, offset: this.#length })
    return this
  }
}

/** `count` pages that differ from one another and from every other `seed`'s; 'K' stands in for structure. */
export function syntheticPages(count: number, seed = 1): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => {
    const page = Buffer.alloc(PAGE_BYTES, 0x4b)
    page.writeUInt32LE(seed, 0)
    page.writeUInt32LE(index, 4)
    return page
  })
}

function blockSizes(blocks: readonly SyntheticBlock[]): { name: string, bytes: number }[] {
  return blocks.map(({ name, pages }) => ({ name, bytes: pages.length * PAGE_BYTES }))
}

function appendPages(builder: StreamBuilder, blocks: readonly SyntheticBlock[]): void {
  for (const { name, pages } of blocks) {
    pages.forEach((page, index) => {
      if (page === undefined) builder.zeroPage(name, index * PAGE_BYTES)
      else builder.page(name, index * PAGE_BYTES, page)
    })
  }
}

/** The run state that the devices of a whole stream tell. */
export const RUN_STATE = 'running'

/** Device state that nobody can walk, with what looks like elements inside, and the guest's run state. */
export function opaqueDevices(): Uint8Array {
  return new StreamBuilder()
    .sectionHeader(4, 0, 'timer', 2).raw(new Uint8Array(16).fill(0x02)).footer(0)
    .globalState(1, RUN_STATE)
    .sectionHeader(4, 9, 'cpu', 12).raw('device state').ramPart().u64(0x008).footer(9)
    .build().bytes
}

/** A whole pre-copy stream: each page of `blocks` once, the last of each block in RAM's END, then devices. */
export function precopyStream(blocks: readonly SyntheticBlock[]): BuiltStream {
  const builder = new StreamBuilder().header().configuration()
    .command(1).command(2, Uint8Array.of(0, 0, 0, 1))
    .ramStart(blockSizes(blocks))
    .ramPart()
  appendPages(builder, blocks.map(({ name, pages }) => ({ name, pages: pages.slice(0, -1) })))
  builder.ramEos().ramEnd()
  for (const { name, pages } of blocks) {
    const offset = (pages.length - 1) * PAGE_BYTES
    const last = pages.at(-1)
    if (last === undefined) builder.zeroPage(name, offset)
    else builder.page(name, offset, last)
  }
  const description = '{"devices": []}'
  return builder.ramEos()
    .raw(opaqueDevices(), 0x00)
    .raw(0x06).u32(description.length).raw(description)
    .build()
}

/** A whole post-copy stream: `before` the switch, the device package, then `after`, which may repeat pages. */
export function postcopyStream(before: readonly SyntheticBlock[], after: readonly SyntheticBlock[]): BuiltStream {
  const nested = new StreamBuilder().command(4).raw(opaqueDevices()).command(2, Uint8Array.of(0, 0, 0, 3)).command(5)
  const builder = new StreamBuilder().header().configuration()
    .command(1).command(2, Uint8Array.of(0, 0, 0, 1)).advise()
    .ramStart(blockSizes(before))
    .ramPart()
  appendPages(builder, before)
  builder.ramEos()
    .command(6, new StreamBuilder().raw(0).name(before[0]!.name).raw(0).u64(0).u64(PAGE_BYTES).build().bytes)
    .command(2, Uint8Array.of(0, 0, 0, 2))
    .packaged(nested.build().bytes)
    .command(2, Uint8Array.of(0, 0, 0, 4))
    .ramPart()
  appendPages(builder, after)
  return builder.ramEos().ramEnd().ramEos().eof().build()
}
