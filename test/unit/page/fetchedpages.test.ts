import assert from 'node:assert/strict'

import { FetchedPages, ID_BYTES, PAGE_BYTES, PageBatch } from '../../../src/page/index.ts'

interface Arrived {
  count: number
  ids: Buffer
  bytes: Buffer
}

/** Pages with made-up ids; `tell` may change the id of each. */
function pagesOf(numbers: readonly number[], tell: (id: Buffer, number: number) => void = () => {}): Arrived {
  const ids = Buffer.alloc(numbers.length * ID_BYTES)
  const bytes = Buffer.alloc(numbers.length * PAGE_BYTES)
  numbers.forEach((number, place) => {
    const id = ids.subarray(place * ID_BYTES, (place + 1) * ID_BYTES)
    id.writeUInt32BE(Math.imul(number + 1, 0x9e3779b1) >>> 0, 0)
    id.writeUInt32BE(number, 4)
    tell(id, number)
    bytes.fill(`page ${number} `, place * PAGE_BYTES, (place + 1) * PAGE_BYTES)
  })
  return { count: numbers.length, ids, bytes }
}

/** What the pages fill of a batch of these, by the batch's indices; what is filled must be right. */
function filledOf(fetched: FetchedPages, { ids, bytes }: Arrived): number[] {
  const batch = new PageBatch(ids)
  fetched.fill(batch)
  const filled = Array.from({ length: batch.count }, (_, index) => index).filter((index) => batch.isFilled(index))
  for (const index of filled) {
    assert.equal(batch.filledBy(index), 'peer')
    const at = index * PAGE_BYTES
    assert.ok(batch.bytes.subarray(at, at + PAGE_BYTES).equals(bytes.subarray(at, at + PAGE_BYTES)), `page ${index}`)
  }
  return filled
}

function upTo(count: number): number[] {
  return [...Array(count).keys()]
}

describe('pages that peers gave', () => {
  it('are kept up to their room, each once, over any number of chunks', () => {
    const all = pagesOf(upTo(700))
    const fetched = new FetchedPages(600)
    assert.equal(fetched.room, 600)
    fetched.add(all)
    fetched.add(all)
    assert.equal(fetched.count, 600)
    assert.deepEqual(filledOf(fetched, all), upTo(600))
  })

  it('come in any pieces, some of them again', () => {
    const fetched = new FetchedPages(10)
    for (const numbers of [[3, 1], [1], [4, 1, 5], []]) fetched.add(pagesOf(numbers))
    assert.equal(fetched.count, 4)
    assert.deepEqual(filledOf(fetched, pagesOf([1, 2, 3, 4, 5])), [0, 2, 3, 4])
    assert.deepEqual(filledOf(new FetchedPages(10), pagesOf([1, 2])), [])
  })

  it('are only as many as are told of, whatever stands behind them', () => {
    const fetched = new FetchedPages(10)
    fetched.add({ ...pagesOf([1, 2, 3]), count: 2 })
    assert.deepEqual(filledOf(fetched, pagesOf([1, 2, 3])), [0, 1])
  })

  it('are told apart by every byte of their ids', () => {
    const fetched = new FetchedPages(10)
    fetched.add(pagesOf([7]))
    for (let byte = 0; byte < ID_BYTES; byte++) {
      assert.deepEqual(filledOf(fetched, pagesOf([7], (id) => { id[byte]! ^= 1 })), [], `byte ${byte}`)
    }
    assert.deepEqual(filledOf(fetched, pagesOf([7])), [0])
  })

  it('fill only what is missing', () => {
    const fetched = new FetchedPages(10)
    const pages = pagesOf([1, 2])
    fetched.add(pages)
    const batch = new PageBatch(pages.ids)
    batch.bytes.fill('other', 0, PAGE_BYTES)
    batch.markFilled(0, 'resident')
    fetched.fill(batch)
    assert.deepEqual([batch.filledBy(0), batch.filledBy(1)], ['resident', 'peer'])
    assert.ok(batch.bytes.subarray(0, 5).equals(Buffer.from('other')))
  })
})
