import assert from 'node:assert/strict'

import { createPageHasher, type PageHasher } from '../../../src/page/index.ts'
import { Encoder } from '../../../src/passage/encoder.ts'
import { warmUp } from '../../../src/passage/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { systemRandom } from '../../../src/runtime/random.ts'

const hasher = createPageHasher(new Uint8Array(32))

/** Warms up; resolves to the encoders that did, in order. */
async function encodersOf(own: PageHasher): Promise<Encoder[]> {
  const encoders: Encoder[] = []
  const flush = Encoder.prototype.flush
  Encoder.prototype.flush = function (this: Encoder, all?: boolean) {
    if (!encoders.includes(this)) encoders.push(this)
    flush.call(this, all)
  }
  try {
    await warmUp({ clock: systemClock, hasher: own, random: systemRandom })
  } finally {
    Encoder.prototype.flush = flush
  }
  return encoders
}

describe('warming up', () => {
  it('sends as many pages of every kind through encoder and decoder, twice', async () => {
    const counts = (await encodersOf(hasher)).map((encoder) => ({ ...encoder.counts }))
    assert.equal(counts.length, 2)
    assert.deepEqual(counts[0], counts[1])
    const { zero, ref, literal, sentBefore, streamBytes } = counts[0]!
    // What is in no full batch at the end stays where it is: at most 64 pages.
    assert.equal(zero, 2000)
    for (const count of [ref, literal]) assert.ok(count > 1968 && count <= 2000, `${count}`)
    assert.equal(sentBefore, 0)
    assert.equal(streamBytes, 16_434_069)
  })

  it('says so if what comes out is not what went in', async () => {
    let calls = 0
    const wrong: PageHasher = {
      ...hasher,
      hashScattered(pages, offsets, count, ids) {
        hasher.hashScattered(pages, offsets, count, ids)
        // The third time is at the other end.
        if (++calls === 3 && count > 0) ids[0]! ^= 1
      },
    }
    await assert.rejects(encodersOf(wrong), { code: 'digest-mismatch', phase: 'handoff' })
  })
})
