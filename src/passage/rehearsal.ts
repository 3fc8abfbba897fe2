/**
 * What a passage would make of a guest's memory as it is now: pages counted as the encoder would send them, and a part
 * of the literals compressed. Nothing is sent, and the guest is only read.
 */
import type { GuestMemory } from '../guest/index.ts'
import {
  ID_BYTES, isZeroPage, looksPackable, packNow, PAGE_BYTES, PrefixTable, type PageHasher, type Prefixes,
} from '../page/index.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { nextTurn } from '../runtime/turn.ts'
import type { CompressionLevel } from './compression.ts'
import { PublicRefs, type KnownPublic } from './publicrefs.ts'
import { SentIndex } from './sentpages.ts'

/** Pages in a row that are looked at together. */
const STRETCH_PAGES = 512
/** Pages of one batch of a passage. */
const BATCH_PAGES = 64
/** Pages of one packet of a multifd channel. */
const PACKET_PAGES = 128
/** Most resident pages that are read: 512 MiB, in half a second. Of a larger guest, every so many stretches. */
const READ_PAGES_MAX = 2 ** 17
/** Most literals that are compressed, 32 MiB; a tenth at the levels that take ten times as long. */
const PACKED_PAGES_MAX = 2 ** 13
const SLOW_LEVEL = 3
const SLOW_SHARE = 1 / 10

export interface RehearsalInit {
  /** The pages that may be sent as refs. */
  known: Prefixes
  /** Public pages that may be sent as refs, too. */
  publicPages: KnownPublic | undefined
  /** Channels that carry pages: each finds only its own pages again. */
  channels: number
  /** zstd level of the literals; 0: uncompressed. */
  level: CompressionLevel
  /** Resident pages of the guest, about. */
  residentPages: number
}

/** Counts of the pages that were looked at. */
export interface Rehearsal {
  /** Pages looked at, those that the guest never touched included. */
  pages: number
  /** Zero, or never touched: QEMU sends no bytes of them. */
  zero: number
  ref: number
  sentBefore: number
  literal: number
  /** Literals that were compressed, and what came of them. */
  packedBytes: number
  packedWireBytes: number
  /** Time that took, and the reading and hashing of the pages that have bytes, ms. */
  packMs: number
  readMs: number
  /** Pages looked at a second time, those among them that had changed, and the time between. */
  lookedAgain: number
  changed: number
  betweenMs: number
}

/** One look at a stretch: the first half of each page's prefix; 0 for a page without bytes. */
interface Look {
  block: number
  firstPage: number
  atMs: number
  prints: Uint32Array
}

/** Stretches that are looked at a second time. */
const AGAIN_MAX = 64
/** The guest must have had this long to change them. */
const BETWEEN_MS = 1000

/** Looks at a guest's memory. Rejects with the signal's reason, or with `guest-gone`. */
export async function rehearse(
  components: { hasher: PageHasher; clock: { now(): number; sleep(ms: number, signal?: AbortSignal): Promise<void> } },
  memory: GuestMemory, init: RehearsalInit, signal: AbortSignal,
): Promise<Rehearsal> {
  const { clock } = components
  const reading = new Rehearsing(components, memory, init)
  const every = Math.max(1, Math.ceil(init.residentPages / READ_PAGES_MAX))
  const stretches = stretchesOf(memory).filter((_stretch, index) => index % every === 0)
  const againEvery = Math.max(1, Math.ceil(stretches.length / AGAIN_MAX))
  const looks: Look[] = []
  for (const [index, { block, firstPage, count }] of stretches.entries()) {
    signal.throwIfAborted()
    const prints = await reading.count(block, firstPage, count)
    if (index % againEvery === 0) looks.push({ block, firstPage, atMs: clock.now(), prints })
    await nextTurn()
  }
  reading.finish()
  const sinceMs = looks.length === 0 ? BETWEEN_MS : clock.now() - looks[0]!.atMs
  if (sinceMs < BETWEEN_MS) await clock.sleep(BETWEEN_MS - sinceMs, signal)
  let changed = 0
  let betweenMs = 0
  for (const { block, firstPage, atMs, prints } of looks) {
    signal.throwIfAborted()
    betweenMs += (clock.now() - atMs) / looks.length
    const now = await reading.look(block, firstPage, prints.length)
    prints.forEach((print, page) => { if (print !== now[page]) changed += 1 })
    await nextTurn()
  }
  const lookedAgain = looks.reduce((sum, { prints }) => sum + prints.length, 0)
  return { ...reading.counts, lookedAgain, changed, betweenMs }
}

function stretchesOf({ blocks }: GuestMemory): { block: number; firstPage: number; count: number }[] {
  return blocks.flatMap(({ bytes }, block) => {
    const pages = Math.floor(bytes / PAGE_BYTES)
    return Array.from({ length: Math.ceil(pages / STRETCH_PAGES) }, (_, index) => {
      const firstPage = index * STRETCH_PAGES
      return { block, firstPage, count: Math.min(STRETCH_PAGES, pages - firstPage) }
    })
  })
}

class Rehearsing {
  readonly counts = {
    pages: 0, zero: 0, ref: 0, sentBefore: 0, literal: 0, packedBytes: 0, packedWireBytes: 0, packMs: 0, readMs: 0,
  }

  readonly #clock: { now(): number }
  readonly #hasher: PageHasher
  readonly #memory: GuestMemory
  readonly #known: PrefixTable
  readonly #public: PublicRefs | undefined
  readonly #isPublic = new Uint8Array(STRETCH_PAGES)
  readonly #level: CompressionLevel
  readonly #sent: SentIndex[]
  readonly #resident = new Uint8Array(STRETCH_PAGES)
  readonly #room = Buffer.alloc(STRETCH_PAGES * PAGE_BYTES)
  readonly #offsets = new Uint32Array(STRETCH_PAGES)
  readonly #ids = Buffer.alloc(STRETCH_PAGES * ID_BYTES)
  readonly #literals = Buffer.alloc(BATCH_PAGES * PAGE_BYTES)
  #literalLength = 0
  /** Pages with bytes so far. */
  #filled = 0
  /** One batch in so many is compressed. */
  readonly #packEvery: number

  constructor(
    { clock, hasher }: { clock: { now(): number }; hasher: PageHasher }, memory: GuestMemory,
    { known, publicPages, channels, level, residentPages }: RehearsalInit,
  ) {
    this.#clock = clock
    this.#hasher = hasher
    this.#memory = memory
    this.#level = level
    this.#known = new PrefixTable(known.count)
    for (let i = 0; i < known.count; i++) this.#known.add(known.high[i]!, known.low[i]!, 0)
    this.#public = publicPages === undefined ? undefined : new PublicRefs(publicPages, STRETCH_PAGES)
    this.#sent = Array.from({ length: channels }, () => new SentIndex())
    const literals = Math.min(READ_PAGES_MAX, Math.max(0, residentPages - known.count))
    const most = PACKED_PAGES_MAX * (level >= SLOW_LEVEL ? SLOW_SHARE : 1)
    this.#packEvery = Math.max(1, Math.ceil(literals / most))
  }

  /** Looks at a stretch and counts its pages. */
  async count(block: number, firstPage: number, count: number): Promise<Uint32Array> {
    const fromMs = this.#clock.now()
    const prints = await this.look(block, firstPage, count)
    if (this.#public !== undefined) this.#findPublic(this.#public, prints)
    this.counts.readMs += this.#clock.now() - fromMs
    this.counts.pages += count
    let id = 0
    for (let page = 0; page < count; page++) {
      if (prints[page] === 0) this.counts.zero += 1
      else this.#send(id++ * ID_BYTES)
    }
    return prints
  }

  /** Reads and hashes the pages that have bytes; their ids and offsets stay for `count`. */
  async look(block: number, firstPage: number, count: number): Promise<Uint32Array> {
    const resident = this.#resident
    await this.#memory.resident(block, firstPage, count, resident)
    let filled = 0
    const prints = new Uint32Array(count)
    for (let start = 0; start < count;) {
      let end = start
      while (end < count && resident[end] !== 0) end += 1
      if (end > start && await this.#read(block, firstPage + start, end - start, start)) {
        for (let page = start; page < end; page++) {
          if (!isZeroPage(this.#room, page * PAGE_BYTES)) this.#offsets[filled++] = page * PAGE_BYTES
        }
      }
      start = end + 1
    }
    this.#hasher.hashScattered(this.#room, this.#offsets, filled, this.#ids)
    for (let i = 0; i < filled; i++) {
      prints[this.#offsets[i]! / PAGE_BYTES] = Math.max(1, this.#ids.readUInt32BE(i * ID_BYTES))
    }
    return prints
  }

  /** False if the mapping has changed. */
  async #read(block: number, firstPage: number, count: number, at: number): Promise<boolean> {
    try {
      await this.#memory.read(block, firstPage, count, this.#room.subarray(at * PAGE_BYTES, (at + count) * PAGE_BYTES))
      return true
    } catch (error) {
      if (error instanceof PagemeshError && error.code === 'guest-memory-moved') return false
      throw error
    }
  }

  /** Counts the page whose id is at `id` of the ids, as the encoder would send it. */
  #send(id: number): void {
    const sent = this.#sent[Math.floor(this.#filled / PACKET_PAGES) % this.#sent.length]!
    const page = this.#offsets[id / ID_BYTES]!
    this.#filled += 1
    if (this.#isPublic[id / ID_BYTES] === 1 || this.#isKnown(id)) this.counts.ref += 1
    else if (sent.find(this.#ids, id) !== -1) this.counts.sentBefore += 1
    else {
      sent.add(this.#ids, id)
      this.counts.literal += 1
      this.#literalLength += this.#room.copy(this.#literals, this.#literalLength, page, page + PAGE_BYTES)
    }
    if (this.#filled % BATCH_PAGES === 0) this.#pack((this.#filled / BATCH_PAGES) % this.#packEvery === 0)
  }

  #isKnown(id: number): boolean {
    return this.#known.get(this.#ids.readUInt32BE(id), this.#ids.readUInt32BE(id + 4)) !== -1
  }

  /** Looks for public pages among those with bytes, as the encoder would. */
  #findPublic(refs: PublicRefs, prints: Uint32Array): void {
    this.#isPublic.fill(0)
    let page = 0
    for (const print of prints) {
      if (print === 0) continue
      if (!this.#isKnown(page * ID_BYTES)) refs.note(page, this.#offsets[page]!)
      page += 1
    }
    refs.mark(this.#room, this.#ids, this.#isPublic)
  }

  /** Ends the last batch. */
  finish(): void {
    this.#pack(true)
  }

  /** Ends a batch; compresses its literals if it is its turn. */
  #pack(isItsTurn: boolean): void {
    const literals = this.#literals.subarray(0, this.#literalLength)
    this.#literalLength = 0
    if (literals.length === 0 || !isItsTurn) return
    this.counts.packedBytes += literals.length
    const fromMs = this.#clock.now()
    const isWorthIt = this.#level > 0 && looksPackable(literals)
    this.counts.packedWireBytes += isWorthIt ? packNow(literals, this.#level).length : literals.length
    this.counts.packMs += this.#clock.now() - fromMs
  }
}
