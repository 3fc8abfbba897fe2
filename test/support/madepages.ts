import {
  createPageHasher, ID_BYTES, PAGE_BYTES, type PageHasher, type PageSource, type Prefixes,
} from '../../src/page/index.ts'
import { encodeBatchHeader, packBatch, type BatchHeader, type EncodedBatch } from '../../src/passage/batch.ts'
import { Decoder, unpackBatch, type AssembledBatch } from '../../src/passage/decoder.ts'
import { Encoder } from '../../src/passage/encoder.ts'
import type { KnownPublic } from '../../src/passage/publicrefs.ts'
import { Resolver } from '../../src/passage/resolver.ts'
import { systemClock } from '../../src/runtime/clock.ts'

export const hasher = createPageHasher(new Uint8Array(32).fill(3))
export const NOTHING: Prefixes = { count: 0, high: new Uint32Array(0), low: new Uint32Array(0) }

/** A page that is unlike those of other numbers. */
export function page(number: number): Buffer {
  const bytes = Buffer.alloc(PAGE_BYTES)
  for (let i = 0; i < PAGE_BYTES; i += 4) bytes.writeUInt32LE(Math.imul(number + i, 0x9e3779b1) >>> 0, i)
  return bytes
}

export function idOf(bytes: Uint8Array): Buffer {
  const id = Buffer.alloc(ID_BYTES)
  hasher.hashPages(bytes, 0, 1, id, 0)
  return id
}

export function prefixesOf(pages: readonly Uint8Array[]): Prefixes {
  const ids = pages.map(idOf)
  return {
    count: ids.length,
    high: Uint32Array.from(ids, (id) => id.readUInt32BE(0)),
    low: Uint32Array.from(ids, (id) => id.readUInt32BE(4)),
  }
}

/** A source that has these pages, by these ids; `give` may change what it gives. */
export function sourceWith(
  pages: readonly Buffer[], kind: PageSource['kind'] = 'resident', give: (bytes: Buffer) => Buffer = (bytes) => bytes,
  nameOf: (bytes: Buffer) => Buffer = idOf,
): PageSource & { asked: number } {
  const byId = new Map(pages.map((each) => [nameOf(each).toString('hex'), each]))
  const source = {
    kind,
    asked: 0,
    async fill(batch: Parameters<PageSource['fill']>[0]) {
      source.asked += 1
      for (const ref of batch.missing()) {
        const held = byId.get(Buffer.from(batch.ids.subarray(ref * ID_BYTES, (ref + 1) * ID_BYTES)).toString('hex'))
        if (held === undefined) continue
        give(held).copy(batch.bytes, ref * PAGE_BYTES)
        batch.markFilled(ref, kind)
      }
    },
  }
  return source
}

/** Encodes `stream` in pieces, and flushes where told to. */
export function encode(
  stream: Uint8Array, known: Prefixes, pieces: readonly number[] = [100_000], flushes: readonly boolean[] = [false],
  publicPages?: KnownPublic,
): EncodedBatch[] {
  const batches: EncodedBatch[] = []
  const encoder = new Encoder({ hasher }, {
    known, onBatch: (batch) => batches.push(batch), onMark: () => {}, onRunState: () => {}, onLost: () => {},
  })
  if (publicPages !== undefined) encoder.setPublic(publicPages)
  let at = 0
  for (let i = 0; at < stream.length; i++) {
    const length = Math.max(1, pieces[i % pieces.length]!)
    encoder.push(stream.subarray(at, at + length))
    if (flushes[i % flushes.length] === true) encoder.flush()
    at += length
  }
  encoder.flush(true)
  return batches
}

/** The body of the frame that this batch travels in. */
export function bodyOf(batch: EncodedBatch): Buffer {
  const { header, parts } = packBatch(batch, { level: 1 })
  return Buffer.concat([header, ...parts])
}

/** What comes out at the other end; throws if the digest of a batch says no. */
export async function decode(
  bodies: readonly Buffer[], sources: readonly PageSource[], publicHasher?: PageHasher,
): Promise<Buffer> {
  const decoder = new Decoder()
  const resolver = new Resolver({ clock: systemClock, hasher, publicHasher, sources })
  const parts: Buffer[] = []
  for (const body of bodies) {
    const batch = decoder.assemble(unpackBatch(body))
    const lacking = await resolver.fill(batch, new AbortController().signal)
    if (lacking.length > 0) throw new Error(`nobody has ${lacking.length} pages`)
    if (!decoder.isRight(batch)) throw new Error(`the digest of batch ${batch.sequence} says no`)
    parts.push(Buffer.from(batch.stream))
    decoder.recycle(batch)
  }
  return Buffer.concat(parts)
}

/** A batch of parts that a test makes itself, stored as they are where it does not say otherwise. */
export interface MadeParts {
  ops: Buffer
  raw?: Buffer
  refIds?: Buffer
  literals?: Buffer
  /** What stands in for the ops and raw bytes, and for the literals, on the wire. */
  packed?: Buffer
  packedLiterals?: Buffer
  header?: Partial<BatchHeader>
}

export function makeBody(parts: MadeParts): Buffer {
  const { ops, raw = Buffer.alloc(0), refIds = Buffer.alloc(0), literals = Buffer.alloc(0) } = parts
  const packed = parts.packed ?? Buffer.concat([ops, raw])
  const packedLiterals = parts.packedLiterals ?? literals
  const pages = (literals.length / PAGE_BYTES) + refIds.length / ID_BYTES
  const header = encodeBatchHeader({
    sequence: 0, streamBytes: raw.length + pages * PAGE_BYTES, digest: new Uint8Array(32),
    literals: literals.length / PAGE_BYTES, refs: refIds.length / ID_BYTES,
    opsBytes: ops.length, rawBytes: raw.length,
    packedBytes: packed.length, literalWireBytes: packedLiterals.length, ...parts.header,
  })
  return Buffer.concat([header, packed, refIds, packedLiterals])
}

/** One op as it is on the wire. */
export function op(kind: number, count: number): Buffer {
  const bytes: number[] = []
  let rest = count * 4 + kind
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest & 0x7f) | 0x80)
  return Buffer.from([...bytes, rest])
}

export function assembled(body: Buffer): AssembledBatch {
  return new Decoder().assemble(unpackBatch(body))
}
