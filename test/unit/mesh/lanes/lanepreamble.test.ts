import assert from 'node:assert/strict'

import { decodePreamble, encodePreamble, PREAMBLE_BYTES } from '../../../../src/mesh/lanes/lanepreamble.ts'

const ID = '00112233445566778899aabbccddeeff'

describe('what stands before the TLS of a lane', () => {
  it('is these very bytes, by which hosts of other versions know it', () => {
    for (const use of ['lane', 'join'] as const) {
      assert.equal(encodePreamble(use, ID).toString('hex'), `${Buffer.from(`pm${use}1\n`).toString('hex')}${ID}`)
      assert.deepEqual(decodePreamble(encodePreamble(use, ID)), { use, id: ID })
    }
    assert.equal(PREAMBLE_BYTES, 24)
  })

  it('is refused cut short, with anything behind it, or of another kind', () => {
    const preamble = encodePreamble('lane', ID)
    assert.equal(decodePreamble(preamble.subarray(1)), undefined)
    assert.equal(decodePreamble(preamble.subarray(0, -1)), undefined)
    assert.equal(decodePreamble(Buffer.concat([preamble, Buffer.of(0)])), undefined)
    for (let at = 0; at < 8; at++) {
      const other = Buffer.from(preamble)
      other[at]! ^= 1
      assert.equal(decodePreamble(other), undefined)
    }
  })
})
