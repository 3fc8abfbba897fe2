import assert from 'node:assert/strict'

import {
  createPageHasher, firstOf, ID_BYTES, isZeroPage, PAGE_BYTES, PageBatch, verified, type PageSource, type SourceKind,
} from '../../../src/page/index.ts'

const hasher = createPageHasher(new Uint8Array(32).fill(7))
const signal = new AbortController().signal

function pageOf(byte: number): Buffer {
  return Buffer.alloc(PAGE_BYTES, byte)
}

function batchOf(...bytes: number[]): PageBatch {
  const ids = new Uint8Array(bytes.length * ID_BYTES)
  hasher.hashPages(Buffer.concat(bytes.map(pageOf)), 0, bytes.length, ids, 0)
  return new PageBatch(ids)
}

/** Fills the pages at the given indices with the given bytes, right or wrong. */
function source(kind: SourceKind, fills: Record<number, number>): PageSource & { asked: number } {
  return {
    kind,
    asked: 0,
    async fill(batch) {
      this.asked += 1
      for (const index of batch.missing()) {
        const byte = fills[index]
        if (byte === undefined) continue
        pageOf(byte).copy(batch.bytes, index * PAGE_BYTES)
        batch.markFilled(index, kind)
      }
    },
  }
}

describe('page sources', () => {
  it('hash pages by keyed BLAKE3, in one piece or apart, the same', () => {
    const pages = Buffer.concat([pageOf(1), Buffer.alloc(8), pageOf(2)])
    const ids = Buffer.alloc(2 * ID_BYTES)
    hasher.hashScattered(pages, Uint32Array.of(0, PAGE_BYTES + 8), 2, ids)
    assert.deepEqual(new Uint8Array(ids), batchOf(1, 2).ids)
    const other = Buffer.alloc(ID_BYTES)
    createPageHasher(new Uint8Array(32)).hashPages(pageOf(1), 0, 1, other, 0)
    assert.notDeepEqual(other, ids.subarray(0, ID_BYTES), 'another key, another id')
  })

  it('take back what a source filled wrongly, so that the next one is asked', async () => {
    const batch = batchOf(1, 2, 3)
    const liar = source('resident', { 0: 1, 1: 99 })
    const honest = source('store', { 1: 2 })
    await firstOf([verified(liar, hasher), verified(honest, hasher)]).fill(batch, signal)
    assert.deepEqual([0, 1, 2].map((index) => batch.filledBy(index)), ['resident', 'store', undefined])
    assert.deepEqual(batch.missing(), [2])
    assert.ok(batch.bytes.subarray(PAGE_BYTES, 2 * PAGE_BYTES).equals(pageOf(2)))
  })

  it('ask nobody further once all is filled', async () => {
    const batch = batchOf(1)
    const second = source('store', { 0: 1 })
    await firstOf([source('resident', { 0: 1 }), second]).fill(batch, signal)
    assert.equal(second.asked, 0)
  })

  it('know a zero page', () => {
    const pages = Buffer.concat([pageOf(0), pageOf(1), pageOf(0)])
    pages[PAGE_BYTES * 3 - 1] = 1
    assert.deepEqual([0, 1, 2].map((index) => isZeroPage(pages, index * PAGE_BYTES)), [true, false, false])
  })
})
