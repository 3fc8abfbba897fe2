import assert from 'node:assert/strict'

import { Hearing } from '../../../src/net/hearing.ts'
import { settle } from '../../support/passagerelay.ts'
import { VirtualClock } from '../../support/time.ts'

describe('hearing a connection out', () => {
  let clock: VirtualClock
  let isHeld: boolean
  let isOver: boolean
  let hearing: Hearing

  beforeEach(() => {
    clock = new VirtualClock()
    isHeld = isOver = false
    hearing = new Hearing({ clock }, { isHeld: () => isHeld })
    void hearing.over.then(() => { isOver = true })
  })

  async function pass(ms: number): Promise<void> {
    await clock.run(clock.now() + ms)
    await settle()
  }

  it('is over as soon as the end comes', async () => {
    await pass(100)
    assert.ok(!isOver)
    hearing.end()
    await settle()
    assert.ok(isOver)
  })

  it('is over half a second later where nothing comes', async () => {
    await pass(499)
    assert.ok(!isOver)
    await pass(1)
    assert.ok(isOver)
  })

  it('goes on while reading has to wait, for three seconds', async () => {
    isHeld = true
    await pass(2990)
    assert.ok(!isOver)
    await pass(50)
    assert.ok(isOver)
  })

  it('ends once reading need not wait any more', async () => {
    isHeld = true
    await pass(1000)
    isHeld = false
    await pass(20)
    assert.ok(isOver)
  })

  it('goes on while bytes come, up to three seconds', async () => {
    let isComing = true
    const come = (): void => {
      hearing.heard(1)
      if (isComing) setImmediate(come)
    }
    come()
    await pass(2990)
    assert.ok(!isOver)
    isComing = false
    await pass(20)
    assert.ok(isOver)
  })

  it('is over once more came than can have been on its way', async () => {
    hearing.heard(2 ** 25)
    isHeld = true
    await settle()
    assert.ok(isOver)
  })
})
