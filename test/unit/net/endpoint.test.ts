import { strict as assert } from 'node:assert'
import { setImmediate } from 'node:timers/promises'

import { createEndpointPair } from '../../../src/net/endpoint.ts'
import { Arrived, itIsAnEndpoint, until } from '../../support/endpointcontract.ts'

describe('a pair of endpoints in memory', () => {
  itIsAnEndpoint(async () => createEndpointPair())

  it('is reset by who closes without having read everything', async () => {
    const [near, far] = createEndpointPair()
    const here = new Arrived(near)
    await near.write(Buffer.from('unread'))
    far.destroy()
    assert.match((await near.closed)!.message, /without reading/)
    assert.equal(here.ends, 0)
  })

  it('copies what is written once it was taken, and not before', async () => {
    const [near, far] = createEndpointPair()
    const piece = Buffer.from('aaaa')
    await near.write(piece)
    piece.fill('b')
    const there = new Arrived(far)
    await until(() => there.text.length === 4)
    assert.equal(there.text, 'aaaa')
  })

  it('takes 256 KiB that nobody has read, and what is more as that is read', async () => {
    const [near, far] = createEndpointPair()
    await near.write(Buffer.alloc(256 * 1024 - 1, 'a'))
    await near.write(Buffer.from('b'))
    let taken = 0
    const waiting = [Buffer.from('c'), Buffer.alloc(300 * 1024, 'd'), Buffer.from('e')]
      .map((piece) => near.write(piece).then(() => { taken += 1 }))
    for (let turn = 0; turn < 5; turn++) await setImmediate()
    assert.equal(taken, 0)
    const there = new Arrived(far)
    await Promise.all(waiting)
    near.end()
    await until(() => there.ends === 1)
    assert.equal(there.text, `${'a'.repeat(256 * 1024 - 1)}bc${'d'.repeat(300 * 1024)}e`)
  })

  it('refuses a write of its own after its end, and one that waits when it closes', async () => {
    const [near, far] = createEndpointPair()
    const waiting = near.write(Buffer.alloc(300 * 1024))
    near.destroy()
    await assert.rejects(waiting, /was closed/)
    await assert.rejects(near.write(Buffer.from('x')), /after the end/)
    far.end()
    await assert.rejects(far.write(Buffer.from('x')), /after the end/)
    assert.equal(await near.closed, undefined)
  })

  it('hands over what was written before both ended, to whoever listens late', async () => {
    const [near, far] = createEndpointPair()
    const here = new Arrived(near)
    await near.write(Buffer.from('last words'))
    near.end()
    far.end()
    assert.equal(await near.closed, undefined)
    assert.equal(here.ends, 1)
    const there = new Arrived(far)
    assert.equal(await far.closed, undefined)
    assert.deepEqual([there.text, there.ends], ['last words', 1])
  })

  it('is paused by whoever listens, in the middle of what came', async () => {
    const [near, far] = createEndpointPair()
    const heard: string[] = []
    far.receive((bytes) => {
      heard.push(bytes.toString())
      if (heard.length === 2) far.pause()
    }, () => heard.push('end'))
    for (const piece of ['a', 'b', 'c']) await near.write(Buffer.from(piece))
    near.end()
    for (let turn = 0; turn < 5; turn++) await setImmediate()
    assert.deepEqual(heard, ['a', 'b'])
    far.resume()
    await until(() => heard.length === 4)
    assert.deepEqual(heard, ['a', 'b', 'c', 'end'])
    // One that closes in the middle hears nothing more.
    const [one, other] = createEndpointPair()
    other.receive(() => other.destroy(), () => heard.push('never'))
    await one.write(Buffer.from('d'))
    await one.write(Buffer.from('e')).catch(() => {})
    one.end()
    for (let turn = 0; turn < 5; turn++) await setImmediate()
    assert.equal(heard.length, 4)
  })
})
