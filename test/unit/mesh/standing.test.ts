import assert from 'node:assert/strict'

import { Standing } from '../../../src/mesh/index.ts'
import { VirtualClock } from '../../support/time.ts'

const MINUTE_MS = 60_000

describe('standing', () => {
  const started = (): { clock: VirtualClock; standing: Standing } => {
    const clock = new VirtualClock()
    return { clock, standing: new Standing({ clock }) }
  }

  it('is had until faults take it, and faults add up', () => {
    const { standing } = started()
    assert.equal(standing.isTrusted('a'), true)
    for (let fault = 0; fault < 3; fault++) standing.fault('a', 1)
    for (let fault = 0; fault < 3; fault++) standing.fault('a', 0.25)
    assert.equal(standing.isTrusted('a'), true)
    standing.fault('a', 0.25)
    assert.equal(standing.isTrusted('a'), false)
    assert.equal(standing.isTrusted('b'), true, 'each has its own')
  })

  it('heals with time: half of what is held against a member is forgotten in ten minutes', async () => {
    const { clock, standing } = started()
    standing.fault('a', 7.9)
    assert.equal(standing.isTrusted('a'), false)
    await clock.run(9 * MINUTE_MS)
    assert.equal(standing.isTrusted('a'), false)
    await clock.run(10 * MINUTE_MS)
    assert.equal(standing.isTrusted('a'), true)
    standing.fault('a', 0.1)
    assert.equal(standing.isTrusted('a'), false, 'what is not yet forgotten still counts')
  })

  it('is not lost to what bad luck brings about now and then', async () => {
    const { clock, standing } = started()
    for (let hour = 0; hour < 100; hour++) {
      standing.fault('a', 1)
      await clock.run((hour + 1) * 20 * MINUTE_MS)
      assert.equal(standing.isTrusted('a'), true)
    }
  })

  it('comes back even to the worst, once it behaves', async () => {
    const { clock, standing } = started()
    for (let fault = 0; fault < 10_000; fault++) standing.fault('a', 1)
    await clock.run(24 * 60 * MINUTE_MS)
    assert.equal(standing.isTrusted('a'), true)
  })

  it('is remembered of a bounded number of members: those with the least against them are forgotten', () => {
    const { standing } = started()
    standing.fault('worst', 100)
    for (let other = 0; other < 5000; other++) standing.fault(`other-${other}`, 4 + other / 1000)
    assert.equal(standing.isTrusted('worst'), false)
    assert.equal(standing.isTrusted('other-4999'), false)
    assert.equal(standing.isTrusted('other-0'), true)
    const distrusted = Array.from({ length: 5000 }, (_, other) => `other-${other}`)
      .filter((peerId) => !standing.isTrusted(peerId))
    assert.equal(distrusted.length, 1023)
  })
})
