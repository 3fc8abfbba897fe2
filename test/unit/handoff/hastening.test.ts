import assert from 'node:assert/strict'

import { Ends, type EndsOptions } from '../../support/bothends.ts'

const TIMEOUT_MS = 3000

describe('a pre-copy that takes longer than it may', () => {
  for (const [onTimeout, told] of [['postcopy', 'startPostcopy'], ['pause', 'allowPause']] as const) {
    it(`is hastened by ${told}, if so asked for`, async () => {
      const ends = new Ends({ outgoing: { timeoutMs: TIMEOUT_MS, onTimeout } })
      const { result } = await ends.load()
      assert.ok(!ends.source.told.includes(told))
      await ends.wait(TIMEOUT_MS - ends.clock.now())
      assert.ok(ends.source.told.includes(told))
      assert.ok(!ends.source.told.includes('cancel'))
      ends.source.become('completed')
      assert.equal((await result).status, 'completed')
    })
  }

  it('is given up where QEMU refuses to let the guest stand still', async () => {
    const ends = new Ends({ outgoing: { timeoutMs: TIMEOUT_MS, onTimeout: 'pause' } })
    ends.source.refuses['allowPause'] = new Error('no such parameter')
    const { result } = await ends.move()
    await ends.wait(TIMEOUT_MS)
    const { status, reason } = await result
    assert.equal(status, 'failed')
    assert.match(reason!, /no such parameter/)
  })
})

describe('a post-copy that begins only if pre-copy takes too long', () => {
  const late: EndsOptions = {
    mode: 'postcopy',
    outgoing: {
      plan: { kind: 'move', mode: 'postcopy', isLate: true }, timeoutMs: TIMEOUT_MS, onTimeout: 'postcopy',
    },
  }

  it('is a pre-copy where it was not needed: the guest is let run once it is whole', async () => {
    const ends = new Ends(late)
    const { result } = await ends.move()
    await ends.send()
    ends.source.become('completed')
    await ends.wait(500)
    assert.equal(ends.incoming.state.at, 'finishing')
    assert.ok(!ends.destination.told.includes('release running'))
    ends.destination.become('completed')
    const { status, mode } = await result
    assert.deepEqual([status, mode], ['completed', 'precopy'])
    assert.ok(!ends.source.told.includes('startPostcopy'))
  })

  it('begins once the time is up', async () => {
    const ends = new Ends(late)
    await ends.move()
    assert.ok(!ends.source.told.includes('startPostcopy'))
    await ends.wait(TIMEOUT_MS - ends.clock.now())
    assert.ok(ends.source.told.includes('startPostcopy'))
    await ends.outgoing.stop()
  })
})
