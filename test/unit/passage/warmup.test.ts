import assert from 'node:assert/strict'

import { Encoder } from '../../../src/passage/encoder.ts'
import { warmUp } from '../../../src/passage/index.ts'
import { createPageHasher } from '../../../src/page/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { systemRandom } from '../../../src/runtime/random.ts'

describe('warming up', () => {
  it('sends pages of every kind through encoder and decoder', async () => {
    const encoders: Encoder[] = []
    const flush = Encoder.prototype.flush
    Encoder.prototype.flush = function (this: Encoder, all?: boolean) {
      if (!encoders.includes(this)) encoders.push(this)
      flush.call(this, all)
    }
    try {
      await warmUp({ clock: systemClock, hasher: createPageHasher(new Uint8Array(32)), random: systemRandom })
    } finally {
      Encoder.prototype.flush = flush
    }
    const counts = encoders[0]!.counts
    assert.ok(counts.zero > 1500 && counts.ref > 1500 && counts.literal > 1500, JSON.stringify(counts))
  })
})
