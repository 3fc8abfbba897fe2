import { ID_BYTES, PAGE_BYTES, type PageHasher, type PageSource, type Prefixes } from '../page/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Random } from '../runtime/random.ts'
import { nextTurn } from '../runtime/turn.ts'
import { packBatch, type EncodedBatch } from './batch.ts'
import { Decoder, digestMismatch, unpackBatch } from './decoder.ts'
import { Encoder } from './encoder.ts'
import { Resolver } from './resolver.ts'

/** Enough for V8 to compile the data path: some hundred milliseconds of work a round. */
const PAGES = 6000
const ROUNDS = 2
/** One page in ZERO_EVERY is zero, and one in REF_EVERY is already at the destination. */
const ZERO_EVERY = 3
const REF_EVERY = 2
const PIECE_BYTES = 100_000

/**
 * Sends a made-up stream through encoder and decoder, so that V8 has compiled them before the first real handoff:
 * compiling took a third of its CPU time. Yields between batches. Throws if the output differs from the input.
 */
export async function warmUp(components: { clock: Clock; hasher: PageHasher; random: Random }): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) await sendMadeUpStream(components)
}

async function sendMadeUpStream(components: { clock: Clock; hasher: PageHasher; random: Random }): Promise<void> {
  const pages = madeUpPages(components.random)
  const batches: EncodedBatch[] = []
  const encoder = new Encoder(components, {
    known: knownHalf(pages, components.hasher),
    onBatch: (batch) => batches.push(batch),
    onMark: () => {},
    onRunState: () => {},
    onLost: () => {},
  })
  const decoder = new Decoder()
  const stream = madeUpStream(pages)
  for (let at = 0; at < stream.length; at += PIECE_BYTES) {
    encoder.push(stream.subarray(at, at + PIECE_BYTES))
    for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) {
      await passOn(batch, decoder, new Resolver({ ...components, sources: [sourceOf(batch)] }))
      await nextTurn()
    }
  }
}

async function passOn(batch: EncodedBatch, decoder: Decoder, resolver: Resolver): Promise<void> {
  const { header, parts } = packBatch(batch, { level: 1 })
  const assembled = decoder.assemble(unpackBatch(Buffer.concat([header, ...parts])))
  await resolver.fill(assembled, new AbortController().signal)
  if (!decoder.isRight(assembled)) throw digestMismatch(assembled.sequence)
  decoder.recycle(assembled)
}

/** A source with the pages of this batch's refs. */
function sourceOf({ stream, refOffsets }: EncodedBatch): PageSource {
  return {
    kind: 'resident',
    async fill(refs) {
      refOffsets.forEach((offset, ref) => {
        stream.copy(refs.bytes, ref * PAGE_BYTES, offset, offset + PAGE_BYTES)
        refs.markFilled(ref, 'resident')
      })
    },
  }
}

/** Distinct pages, half of each page being noise and half constant; consecutive. */
function madeUpPages(random: Random): Buffer {
  const pages = Buffer.alloc(PAGES * PAGE_BYTES)
  const noise = random.bytes(PAGE_BYTES / 2)
  for (let page = 0; page < PAGES; page++) {
    pages.set(noise, page * PAGE_BYTES)
    pages.writeUInt32BE(page, page * PAGE_BYTES)
  }
  return pages
}

function knownHalf(pages: Buffer, hasher: PageHasher): Prefixes {
  const ids = Buffer.alloc(PAGES * ID_BYTES)
  hasher.hashPages(pages, 0, PAGES, ids, 0)
  const count = PAGES / REF_EVERY
  const known = { count, high: new Uint32Array(count), low: new Uint32Array(count) }
  for (let i = 0; i < count; i++) {
    known.high[i] = ids.readUInt32BE(i * REF_EVERY * ID_BYTES)
    known.low[i] = ids.readUInt32BE(i * REF_EVERY * ID_BYTES + 4)
  }
  return known
}

/** A migration stream of one block with these pages, without its end. */
function madeUpStream(pages: Buffer): Buffer {
  const start = Buffer.from(
    '5145564d00000003' + // QEVM, version 3
    '0700000001' + '70' + // configuration: the machine's name
    '01' + '00000002' + '0372616d' + '00000000' + '00000004', // SECTION_START 2 "ram" 0 4
    'hex',
  )
  const sizes = Buffer.alloc(8 + 2 + 8)
  sizes.writeUInt32BE(PAGES * PAGE_BYTES + 0x004, 4)
  sizes.write('\u0001r', 8, 'latin1')
  sizes.writeUInt32BE(PAGES * PAGE_BYTES, 14)
  // Footer of the start, head of a part, and the first record, which names its block: a zero page.
  const part = Buffer.from('0000000000000010' + '7e00000002' + '0200000002' + '0000000000000002' + '0172' + '00', 'hex')
  const records: Buffer[] = []
  for (let page = 1; page < PAGES; page++) {
    const isZero = page % ZERO_EVERY === 0
    const head = Buffer.alloc(isZero ? 9 : 8)
    head.writeUInt32BE(page * PAGE_BYTES + (isZero ? 0x022 : 0x028), 4)
    records.push(head)
    if (!isZero) records.push(pages.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES))
  }
  return Buffer.concat([start, sizes, part, ...records])
}
