import assert from 'node:assert/strict'
import fc from 'fast-check'

import { ID_BYTES, PAGE_BYTES } from '../../../src/page/index.ts'
import { BATCH_PAGES_MAX } from '../../../src/passage/batch.ts'
import { BatchDigest, type DigestedBatch } from '../../../src/passage/batchdigest.ts'
import { Decoder, unpackBatch } from '../../../src/passage/decoder.ts'
import { Resolver } from '../../../src/passage/resolver.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { bodyOf, encode, hasher, NOTHING, page } from '../../support/madepages.ts'
import { precopyStream } from '../../support/streambuilder.ts'

const ZERO = new Uint8Array(32)

/** A batch of raw bytes and pages; a number stands for the page with that id. */
function batchOf(...parts: (string | number)[]): DigestedBatch {
  const pageOffsets = new Uint32Array(BATCH_PAGES_MAX)
  const pageIds = Buffer.alloc(BATCH_PAGES_MAX * ID_BYTES)
  let streamBytes = 0
  let pageCount = 0
  let raw = ''
  for (const part of parts) {
    if (typeof part === 'string') raw += part
    else {
      pageIds.fill(part, pageCount * ID_BYTES, (pageCount + 1) * ID_BYTES)
      pageOffsets[pageCount++] = streamBytes
    }
    streamBytes += typeof part === 'string' ? part.length : PAGE_BYTES
  }
  return { streamBytes, pageCount, pageOffsets, pageIds, raw: Buffer.from(raw) }
}

/** The same parts, with raw bytes that stand side by side as one. */
function joined(parts: readonly (string | number)[]): (string | number)[] {
  const whole: (string | number)[] = []
  for (const part of parts) {
    const last = whole.at(-1)
    if (typeof part === 'string' && typeof last === 'string') whole[whole.length - 1] = last + part
    else whole.push(part)
  }
  return whole
}

function digestOf(batch: DigestedBatch, previous: Uint8Array = ZERO): string {
  return Buffer.from(new BatchDigest().after(previous, batch)).toString('hex')
}

describe('the digest of a batch', () => {
  it('is the same for the same batch, and another for any other', () => {
    const parts = fc.array(fc.constantFrom('a', 'b', 'ab', '\x01'.repeat(16), 1, 2, 97), { maxLength: 6 })
    fc.assert(fc.property(parts, parts, (some, others) => {
      const isSame = JSON.stringify(joined(some)) === JSON.stringify(joined(others))
      assert.equal(digestOf(batchOf(...some)) === digestOf(batchOf(...others)), isSame)
    }), { numRuns: 300 })
  })

  it('is this one, as an agent of another version makes it', () => {
    const previous = Uint8Array.from(ZERO.keys())
    const digest = digestOf(batchOf('a', 1, 'bc', 2), previous)
    assert.equal(digest, '3827a791efd8cf45bdd1e9059330a8e0c64585aee031af7c2b4fb3ba3f13f448')
  })

  it('tells apart what was moved, changed, or made of the other kind', () => {
    const digests = [
      batchOf(), batchOf('ab'), batchOf('ba'), batchOf('a'), batchOf(1), batchOf(2), batchOf(1, 2), batchOf(2, 1),
      batchOf(1, 1), batchOf('a', 1), batchOf(1, 'a'), batchOf('a', 1, 'b'), batchOf('ab', 1), batchOf(1, 'ab'),
      batchOf('a', 1, 'b', 2), batchOf('a', 1, 2, 'b'), batchOf('a', 2, 'b', 1), batchOf('\x01'.repeat(PAGE_BYTES)),
    ].map((batch) => digestOf(batch))
    assert.equal(new Set(digests).size, digests.length)
  })

  it('covers every byte of every id', () => {
    const digests = new Set([digestOf(batchOf('a', 1, 2))])
    for (let at = 0; at < 2 * ID_BYTES; at++) {
      const batch = batchOf('a', 1, 2)
      batch.pageIds[at]! ^= 0x80
      digests.add(digestOf(batch))
    }
    assert.equal(digests.size, 1 + 2 * ID_BYTES)
  })

  it('depends on the digest before', () => {
    const digests = new Set([digestOf(batchOf('a'))])
    for (let at = 0; at < ZERO.length; at++) {
      const previous = Uint8Array.from(ZERO)
      previous[at] = 1
      digests.add(digestOf(batchOf('a'), previous))
    }
    assert.equal(digests.size, 1 + ZERO.length)
  })

  it('says nothing of what stands behind the pages that there are', () => {
    const batch = batchOf('a', 1)
    batch.pageIds.fill(9, ID_BYTES)
    batch.pageOffsets.fill(9, 1)
    assert.equal(digestOf(batch), digestOf(batchOf('a', 1)))
  })

  it('refuses counts that cannot be', () => {
    assert.throws(() => digestOf({ ...batchOf('a', 1), streamBytes: PAGE_BYTES }))
    assert.throws(() => digestOf({ ...batchOf(), pageCount: BATCH_PAGES_MAX + 1 }))
  })

  it('chains: a batch behind another one than the source\'s is wrong', async () => {
    const streamOf = (first: number): Uint8Array => precopyStream([{
      name: 'pc.ram', pages: [page(first), ...Array.from({ length: 100 }, (_, i) => page(100 + i))],
    }]).bytes
    const some = encode(streamOf(1), NOTHING)
    const others = encode(streamOf(2), NOTHING)
    assert.ok(some[1]!.stream.equals(others[1]!.stream), 'only the first batches differ')
    assert.notDeepEqual(some[1]!.digest, others[1]!.digest)
    for (const [first, isRight] of [[others[0]!, true], [some[0]!, false]] as const) {
      const decoder = new Decoder()
      const resolver = new Resolver({ clock: systemClock, hasher, sources: [] })
      let right = true
      for (const batch of [first, others[1]!]) {
        const built = decoder.assemble(unpackBatch(bodyOf(batch)))
        await resolver.fill(built, new AbortController().signal)
        right = decoder.isRight(built)
      }
      assert.equal(right, isRight)
    }
  })
})
