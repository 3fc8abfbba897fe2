import assert from 'node:assert/strict'

import { Turns } from '../../../src/agent/turns.ts'

const { signal } = new AbortController()

describe('turns', () => {
  it('are given at once while there are any, then in the order of asking', async () => {
    const turns = new Turns(2)
    const first = turns.take()!
    const second = turns.take()!
    assert.equal(turns.take(), undefined)
    const order: string[] = []
    const ahead: Record<string, number[]> = { a: [], b: [], c: [] }
    const waits = ['a', 'b', 'c'].map(async (name) => {
      const giveBack = await turns.wait(signal, (count) => { ahead[name]!.push(count) })
      order.push(name)
      return giveBack
    })
    first()
    first()
    await waits[0]
    assert.deepEqual(order, ['a'])
    second()
    ;(await waits[0])!()
    await Promise.all(waits)
    assert.deepEqual(order, ['a', 'b', 'c'])
    assert.deepEqual(ahead, { a: [0], b: [1, 0], c: [2, 1, 0] })
    for (const wait of waits) (await wait)()
    assert.ok(turns.take() !== undefined && turns.take() !== undefined && turns.take() === undefined)
  })

  it('are not kept for who has stopped waiting', async () => {
    const turns = new Turns(1)
    const giveBack = turns.take()!
    const leaving = new AbortController()
    const ahead: number[] = []
    const left = turns.wait(leaving.signal, () => {})
    const stays = turns.wait(signal, (count) => { ahead.push(count) })
    leaving.abort(new Error('no longer'))
    await assert.rejects(left, /no longer/)
    await assert.rejects(turns.wait(leaving.signal, () => assert.fail('it does not wait')), /no longer/)
    assert.deepEqual(ahead, [1, 0])
    giveBack()
    ;(await stays)()
    assert.ok(turns.take() !== undefined)
  })
})
