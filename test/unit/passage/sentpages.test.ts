import assert from 'node:assert/strict'

import { ID_BYTES, PAGE_BYTES } from '../../../src/page/index.ts'
import { SENT_PAGES, SentIndex, SentPages } from '../../../src/passage/sentpages.ts'

describe('pages sent before', () => {
  it('are numbered alike at both ends', () => {
    const index = new SentIndex()
    const pages = new SentPages()
    const count = SENT_PAGES * 2 + 5
    const small = Buffer.alloc(ID_BYTES)
    const bytes = Buffer.alloc(PAGE_BYTES)
    const write = (number: number): void => {
      small.writeUInt32BE(Math.imul(number + 1, 0x9e3779b1) >>> 0, 0)
      bytes.writeUInt32LE(number, 0)
    }
    for (let number = 0; number < count; number++) {
      write(number)
      index.add(small, 0)
      pages.add(Buffer.from(bytes), 0)
    }
    let found = 0
    const out = Buffer.alloc(PAGE_BYTES)
    for (let number = 0; number < count; number++) {
      write(number)
      const slot = index.find(small, 0)
      if (slot === -1) continue
      found += 1
      assert.ok(pages.copy(slot, out, 0))
      assert.equal(out.readUInt32LE(0), number)
    }
    // Those of one whole generation, and the five that came since.
    assert.equal(found, SENT_PAGES / 2 + 5)
    assert.equal(SENT_PAGES, 8192, 'as an agent of another version has it')
    assert.equal(pages.copy(SENT_PAGES, out, 0), false)
    assert.equal(new SentPages().copy(0, out, 0), false)
  })

  it('are told apart by every byte of their ids', () => {
    const index = new SentIndex()
    const ids = Buffer.alloc(3 * ID_BYTES, 5)
    index.add(ids, ID_BYTES)
    assert.equal(index.find(ids, ID_BYTES), 0)
    for (let at = 0; at < ID_BYTES; at++) {
      const other = Buffer.from(ids.subarray(ID_BYTES, 2 * ID_BYTES))
      other[at]! ^= 1
      assert.equal(index.find(other, 0), -1, `byte ${at}`)
    }
  })

  it('keep no more memory than twice what they fill', () => {
    const pages = new SentPages()
    const into = Buffer.alloc(PAGE_BYTES)
    const large = Buffer.from(new ArrayBuffer(10 * PAGE_BYTES)).subarray(0, 4 * PAGE_BYTES)
    const dense = Buffer.from(new ArrayBuffer(8 * PAGE_BYTES)).subarray(0, 4 * PAGE_BYTES)
    for (const bytes of [large, dense]) {
      bytes.fill(1, PAGE_BYTES, 2 * PAGE_BYTES)
      pages.add(bytes, PAGE_BYTES)
      // Written over, against what was agreed: it tells where the page is kept.
      bytes.fill(2)
    }
    assert.ok(pages.copy(0, into, 0))
    assert.ok(into.equals(Buffer.alloc(PAGE_BYTES, 1)))
    assert.ok(pages.copy(1, into, 0))
    assert.ok(into.equals(Buffer.alloc(PAGE_BYTES, 2)))
  })

  it('are there only as far as some came', () => {
    const pages = new SentPages()
    const into = Buffer.alloc(2 * PAGE_BYTES)
    pages.add(Buffer.alloc(PAGE_BYTES, 1), 0)
    pages.add(Buffer.concat([Buffer.alloc(10), Buffer.alloc(PAGE_BYTES, 2)]), 10)
    assert.ok(pages.copy(1, into, PAGE_BYTES) && pages.copy(0, into, 0))
    assert.ok(into.equals(Buffer.concat([Buffer.alloc(PAGE_BYTES, 1), Buffer.alloc(PAGE_BYTES, 2)])))
    assert.equal(pages.copy(2, into, 0), false)
  })
})
