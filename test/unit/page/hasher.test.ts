import assert from 'node:assert/strict'

import { Blake3Hasher } from '@napi-rs/blake-hash'

import { createPageHasher, ID_BYTES, PAGE_BYTES } from '../../../src/page/index.ts'
import { seededRandom } from '../../support/random.ts'

describe('a page hasher', () => {
  const key = Buffer.alloc(32, 'key')
  const hasher = createPageHasher(key)
  const random = seededRandom(1)
  const pages = Buffer.from(Uint8Array.from({ length: 4 * PAGE_BYTES }, () => Math.floor(random() * 256)))
  const idOf = (offset: number): Buffer =>
    Blake3Hasher.newKeyed(key).update(pages.subarray(offset, offset + PAGE_BYTES)).digestBuffer().subarray(0, ID_BYTES)

  it('writes as many ids as there are pages, from where it is told, and nothing behind them', () => {
    const ids = Buffer.alloc(5 * ID_BYTES, 0xee)
    hasher.hashPages(pages, PAGE_BYTES, 2, ids, ID_BYTES)
    const untouched = Buffer.alloc(ID_BYTES, 0xee)
    assert.deepEqual(ids, Buffer.concat([untouched, idOf(PAGE_BYTES), idOf(2 * PAGE_BYTES), untouched, untouched]))
  })

  it('finds pages anywhere, and writes no more than was asked for', () => {
    const ids = Buffer.alloc(3 * ID_BYTES, 0xee)
    hasher.hashScattered(pages, Uint32Array.of(5000, 0, 17), 2, ids)
    assert.deepEqual(ids, Buffer.concat([idOf(5000), idOf(0), Buffer.alloc(ID_BYTES, 0xee)]))
  })

  it('reads and writes within views of larger memory', () => {
    const memory = Buffer.alloc(ID_BYTES + 8, 0xee)
    const view = new Uint8Array(memory.buffer, memory.byteOffset + 8, ID_BYTES)
    hasher.hashPages(new Uint8Array(pages.buffer, pages.byteOffset + PAGE_BYTES, PAGE_BYTES), 0, 1, view, 0)
    assert.deepEqual(memory, Buffer.concat([Buffer.alloc(8, 0xee), idOf(PAGE_BYTES)]))
  })

  it('takes a key of 32 bytes only', () => {
    assert.throws(() => createPageHasher(new Uint8Array(31)), /32 bytes/)
  })
})
