import assert from 'node:assert/strict'

import { setBit } from '../../../src/bytes/bits.ts'
import { ID_BYTES, PAGE_BYTES, type Prefixes } from '../../../src/page/index.ts'
import { checkAnswer } from '../../../src/swap/arrival.ts'
import { hasher, MadePages } from '../../support/madeswap.ts'

const made = new MadePages(10)

/** An answer to a want of pages 0 to 9 that brings those of `had`, as they are or as `bytesOf` has them. */
function answerOf(had: readonly number[], bytesOf = (number: number): Buffer => made.page(number)) {
  const bitmap = new Uint8Array(2)
  for (const number of had) setBit(bitmap, number)
  const packed = Buffer.concat(had.map(bytesOf))
  return { status: 'pages' as const, sequence: 1, count: made.count, bitmap, packed }
}

function wanted(change: (prefixes: Prefixes) => void = () => {}): Prefixes {
  const prefixes = made.prefixes(Array.from({ length: made.count }, (_, number) => number))
  change(prefixes)
  return prefixes
}

describe('an answer that arrives', () => {
  it('is right where each page has the id that was wanted', () => {
    const checked = checkAnswer(answerOf([1, 4, 9]), wanted(), hasher)
    assert.deepEqual([[...checked.right], [...checked.wrong]], [[1, 4, 9], []])
    assert.deepEqual([...checked.lacking], [0, 2, 3, 5, 6, 7, 8])
    assert.deepEqual(checked.bytes, Buffer.concat([1, 4, 9].map((number) => made.page(number))))
    const idOf = (number: number): Buffer => made.ids.subarray(number * ID_BYTES, (number + 1) * ID_BYTES)
    assert.deepEqual(checked.ids, Buffer.concat([1, 4, 9].map(idOf)))
  })

  it('is wrong where either half of a prefix differs, and the pages behind move up', () => {
    for (const half of ['high', 'low'] as const) {
      const prefixes = wanted((columns) => { columns[half][4]! ^= 1 })
      const checked = checkAnswer(answerOf([1, 4, 9]), prefixes, hasher)
      assert.deepEqual([[...checked.right], [...checked.wrong]], [[1, 9], [4]], half)
      assert.deepEqual(checked.bytes, Buffer.concat([made.page(1), made.page(9)]))
      assert.equal(checked.ids.length, 2 * ID_BYTES)
    }
  })

  it('is wrong where the bytes are another page\'s', () => {
    const checked = checkAnswer(answerOf([0, 1, 2], (number) => made.page(number === 1 ? 5 : number)), wanted(), hasher)
    assert.deepEqual([[...checked.right], [...checked.wrong]], [[0, 2], [1]])
  })

  it('may bring nothing', () => {
    const checked = checkAnswer(answerOf([]), wanted(), hasher)
    assert.deepEqual([checked.right.length, checked.bytes.length, checked.lacking.length], [0, 0, 10])
  })

  it('is refused where it does not unpack to the pages that it claims', () => {
    const short = { ...answerOf([1, 2]), packed: Buffer.alloc(PAGE_BYTES) }
    assert.throws(() => checkAnswer(short, wanted(), hasher), { code: 'bad-frame' })
  })
})
