import assert from 'node:assert/strict'
import { zstdCompressSync } from 'node:zlib'

import { looksPackable, pack, packNow, PAGE_BYTES, unpack } from '../../../src/page/index.ts'
import { seededRandom } from '../../support/random.ts'

const isBadFrame = { code: 'bad-frame', fault: 'peer' }
const SAMPLE_BYTES = 4096

/** Bytes that nothing compresses, the same in every run. */
function noise(byteCount: number, seed = 1): Buffer {
  const random = seededRandom(seed)
  return Buffer.from(Uint8Array.from({ length: byteCount }, () => Math.floor(random() * 256)))
}

describe('packing', () => {
  it('makes bytes smaller and back, few at once and many on another thread', async () => {
    for (const byteCount of [200, PAGE_BYTES, 16 * 1024, 16 * 1024 + 1, 40 * PAGE_BYTES]) {
      const bytes = Buffer.alloc(byteCount, 'a page of a guest ')
      const packed = await pack(bytes)
      assert.ok(packed.length < byteCount / 3, `${byteCount} bytes became ${packed.length}`)
      assert.deepEqual(unpack(packed, byteCount), bytes)
    }
  })

  it('leaves alone what does not become smaller', async () => {
    const large = noise(20 * PAGE_BYTES)
    for (const bytes of [Buffer.alloc(0), noise(PAGE_BYTES), large]) {
      assert.equal(await pack(bytes), bytes)
      assert.equal(unpack(bytes, bytes.length), bytes)
    }
  })

  it('is not undone with a larger window than any of its own levels has', () => {
    // A frame of nothing that asks for a window of 128 MiB.
    assert.throws(() => unpack(Buffer.from('28b52ffd0088010000', 'hex'), PAGE_BYTES), isBadFrame)
    const bytes = Buffer.alloc(2 ** 19, noise(3000))
    for (const level of [1, 3, 6]) assert.deepEqual(unpack(packNow(bytes, level), bytes.length), bytes)
  })

  it('is done at once too, harder where told, and undone alike', () => {
    const text = Buffer.from(Array.from({ length: 20_000 }, (_, i) => `line ${i * i} of ${i % 77}`).join('\n'))
    const lengths = [packNow(text), packNow(text, 3), packNow(text, 6)].map((packed) => {
      assert.deepEqual(unpack(packed, text.length), text)
      return packed.length
    })
    assert.equal(new Set(lengths).size, 3, lengths.join(' '))
    assert.equal(packNow(text, 1).length, lengths[0])
    const large = noise(20 * PAGE_BYTES)
    assert.equal(packNow(large), large)
  })

  it('is not undone where other than the promised bytes would come out', () => {
    const packed = zstdCompressSync(Buffer.alloc(PAGE_BYTES, 1))
    assert.throws(() => unpack(packed, PAGE_BYTES + 1), {
      ...isBadFrame, message: /they yield 4096 bytes instead of 4097/,
    })
    assert.throws(() => unpack(noise(100), PAGE_BYTES), { ...isBadFrame, message: /they are not what zstd makes/ })
    assert.throws(() => unpack(packed.subarray(0, -2), PAGE_BYTES), isBadFrame)
  })

  it('stops unpacking at the promised length, however much would follow', () => {
    // Not a word of how much it would have been: that much never came to be.
    const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024))
    assert.throws(() => unpack(bomb, PAGE_BYTES), { ...isBadFrame, message: /they yield more than 4096 bytes/ })
    const small = zstdCompressSync(Buffer.alloc(65))
    assert.throws(() => unpack(small, 10), { ...isBadFrame, message: /they yield more than 10 bytes/ })
  })
})

describe('whether bytes look worth packing', () => {
  const byteCount = 30 * SAMPLE_BYTES
  const middle = (byteCount - SAMPLE_BYTES) / 2

  /** Noise with zeros from `start` on. */
  const withZeros = (start: number, zeros: number, length = byteCount): Buffer =>
    noise(length).fill(0, start, start + zeros)

  it('is taken for granted of few', () => {
    assert.equal(looksPackable(noise(3 * SAMPLE_BYTES)), true)
    assert.equal(looksPackable(noise(3 * SAMPLE_BYTES + 1)), false)
  })

  it('is found out at the beginning, in the middle and at the end, and nowhere else', () => {
    for (const start of [0, middle, byteCount - SAMPLE_BYTES]) {
      assert.equal(looksPackable(withZeros(start, SAMPLE_BYTES)), true, `at ${start}`)
    }
    assert.equal(looksPackable(withZeros(SAMPLE_BYTES, middle - SAMPLE_BYTES)), false)
    assert.equal(looksPackable(withZeros(middle + SAMPLE_BYTES, middle - SAMPLE_BYTES)), false)
  })

  it('is told by values that are spread unevenly, and by words that come again', () => {
    const letters = Buffer.from(noise(byteCount).toString('base64').slice(0, byteCount), 'latin1')
    assert.equal(looksPackable(letters), true)
    // Each value as often as any other, and 64 bytes over and over.
    const even = Buffer.from(Array.from({ length: 256 }, (_, value) => value))
    assert.equal(looksPackable(Buffer.alloc(byteCount, even)), true)
  })

  it('asks for a twentieth that is saved', () => {
    const sampled = 3 * SAMPLE_BYTES
    assert.equal(looksPackable(withZeros(0, Math.round(sampled * 0.07))), true)
    assert.equal(looksPackable(withZeros(0, Math.round(sampled * 0.03))), false)
  })
})
