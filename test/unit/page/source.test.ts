import assert from 'node:assert/strict'

import {
  createPageHasher, firstOf, ID_BYTES, isZeroPage, PAGE_BYTES, PageBatch, PREFIX_BYTES, verified, type PageSource,
  type PageSourceKind,
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
function source(kind: PageSourceKind, fills: Record<number, number>): PageSource & { asked: number } {
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

  it('tell a page from another by every byte of its id, or of what is known of it', () => {
    for (const [known, bytes] of [[new PageBatch(new Uint8Array(2 * ID_BYTES)), ID_BYTES],
      [new PageBatch(new Uint8Array(2 * ID_BYTES), undefined, PREFIX_BYTES), PREFIX_BYTES]] as const) {
      const ids = new Uint8Array(3 * ID_BYTES)
      assert.ok(known.isOf(1, ids, ID_BYTES))
      for (let at = 0; at < ID_BYTES; at++) {
        ids[2 * ID_BYTES + at] = 1
        assert.equal(known.isOf(1, ids, 2 * ID_BYTES), at >= bytes, `byte ${at} of ${bytes}`)
        ids[2 * ID_BYTES + at] = 0
      }
    }
  })

  it('ask nobody further once all is filled', async () => {
    const batch = batchOf(1)
    const second = source('store', { 0: 1 })
    await firstOf([source('resident', { 0: 1 }), second]).fill(batch, signal)
    assert.equal(second.asked, 0)
  })

  it('ask the next one for a single page too, once the one before has done what it can', async () => {
    const batch = batchOf(1, 2)
    const slow: PageSource = {
      kind: 'resident',
      async fill(wanted) {
        await new Promise(setImmediate)
        pageOf(9).copy(wanted.bytes, 0)
        pageOf(2).copy(wanted.bytes, PAGE_BYTES)
        wanted.markFilled(0, 'resident')
        wanted.markFilled(1, 'resident')
      },
    }
    await firstOf([verified(slow, hasher), source('store', { 0: 1 })]).fill(batch, signal)
    assert.deepEqual([batch.filledBy(0), batch.filledBy(1)], ['store', 'resident'])
  })

  it('know a zero page', () => {
    const pages = Buffer.concat([pageOf(0), pageOf(1), pageOf(0)])
    pages[PAGE_BYTES * 3 - 1] = 1
    assert.deepEqual([0, 1, 2].map((index) => isZeroPage(pages, index * PAGE_BYTES)), [true, false, false])
  })

  it('take a page for the wanted one only if all that is known of its id agrees', () => {
    const { ids } = batchOf(1, 2)
    for (const knownBytes of [ID_BYTES, PREFIX_BYTES] as const) {
      const batch = new PageBatch(ids, undefined, knownBytes)
      assert.equal(batch.isOf(1, ids, ID_BYTES), true)
      assert.equal(batch.isOf(1, ids, 0), false)
      for (let byte = 0; byte < ID_BYTES; byte++) {
        const other = Uint8Array.from(ids)
        other[ID_BYTES + byte]! ^= 1
        assert.equal(batch.isOf(1, other, ID_BYTES), byte >= knownBytes, `byte ${byte} of ${knownBytes}`)
      }
    }
  })

  it('know of every page of a batch who filled it, until it is taken back', () => {
    const kinds: PageSourceKind[] = ['sentBefore', 'resident', 'store', 'peer', 'source']
    const batch = new PageBatch(new Uint8Array((kinds.length + 1) * ID_BYTES))
    kinds.forEach((kind, index) => batch.markFilled(index, kind))
    assert.deepEqual(kinds.map((_, index) => batch.filledBy(index)), kinds)
    assert.deepEqual(kinds.map((_, index) => batch.isFilled(index)), kinds.map(() => true))
    assert.deepEqual([batch.isFilled(5), batch.filledBy(5), batch.missing()], [false, undefined, [5]])
    batch.markMissing(0)
    assert.deepEqual([batch.isFilled(0), batch.filledBy(0), batch.missing()], [false, undefined, [0, 5]])
  })

  it('know of a batch in another thread what is told of it there', () => {
    const [batch, other] = [batchOf(1, 2, 3), batchOf(1, 2, 3)]
    batch.markFilled(1, 'peer')
    other.markFilled(0, 'store')
    other.setMarks(batch.marks())
    assert.deepEqual([0, 1, 2].map((index) => other.filledBy(index)), [undefined, 'peer', undefined])
    batch.marks().fill(1)
    assert.deepEqual(batch.missing(), [0, 2], 'what is told is a copy')
    assert.throws(() => other.setMarks(new Uint8Array(2)))
    assert.throws(() => other.setMarks(new Uint8Array(4)))
  })

  it('use the room of a batch, and take none that is too small or ids that are cut', () => {
    const room = Buffer.alloc(2 * PAGE_BYTES)
    assert.equal(new PageBatch(new Uint8Array(2 * ID_BYTES), room).bytes, room)
    assert.throws(() => new PageBatch(new Uint8Array(3 * ID_BYTES), room), /room for its pages/)
    assert.throws(() => new PageBatch(new Uint8Array(ID_BYTES + 1)), /whole/)
  })

  it('take back the wrong ones of those that a source filled, and no other', async () => {
    const batch = batchOf(1, 2, 3)
    pageOf(9).copy(batch.bytes, 0)
    batch.markFilled(0, 'peer')
    await verified(source('store', { 1: 9, 2: 3 }), hasher).fill(batch, signal)
    assert.deepEqual(batch.missing(), [1])
  })

  it('are hashed once only, where they do so by themselves', () => {
    const once = verified(source('store', {}), hasher)
    assert.equal(verified(once, hasher), once)
  })
})
