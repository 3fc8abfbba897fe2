import assert from 'node:assert/strict'

import { splice } from '../../../src/intercept/splice.ts'
import { createEndpointPair, type Endpoint } from '../../../src/net/endpoint.ts'
import { Arrived, until } from '../../support/endpointcontract.ts'

describe('two connections that are spliced', () => {
  let near: Endpoint
  let far: Endpoint
  let over: Promise<void>
  let isOver = false

  beforeEach(() => {
    const [nearEnd, one] = createEndpointPair()
    const [farEnd, other] = createEndpointPair()
    near = nearEnd
    far = farEnd
    isOver = false
    over = splice(one, other).then(() => { isOver = true })
  })

  it('pass on every byte both ways, and hold up whoever is too fast', async () => {
    const sent = Buffer.alloc(3 * 1024 * 1024, 'some bytes of a guest ')
    far.pause()
    const arrived = new Arrived(far)
    const back = new Arrived(near)
    let isTaken = false
    const written = near.write(sent).then(() => { isTaken = true })
    await far.write(Buffer.from('back'))
    await until(() => back.text === 'back')
    assert.equal(isTaken, false)
    far.resume()
    await written
    await until(() => arrived.bytes.length === sent.length)
    assert.ok(arrived.bytes.equals(sent))
    assert.equal(isOver, false)
  })

  it('pass on an end as an end, and last words after it', async () => {
    const [there, back] = [new Arrived(far), new Arrived(near)]
    await near.write(Buffer.from('all of it'))
    near.end()
    await until(() => there.ends === 1)
    assert.equal(there.text, 'all of it')
    await far.write(Buffer.from('thanks'))
    far.end()
    await over
    await until(() => back.ends === 1)
    assert.equal(back.text, 'thanks')
  })

  it('break both when one breaks, whichever', async () => {
    for (const broken of ['near', 'far'] as const) {
      const [nearEnd, one] = createEndpointPair()
      const [farEnd, other] = createEndpointPair()
      const done = splice(one, other)
      const ends = { near: nearEnd, far: farEnd }
      const left = broken === 'near' ? farEnd : nearEnd
      const heard = new Arrived(left)
      ends[broken].destroy()
      await until(() => heard.ends === 1)
      left.end()
      await done
    }
  })

  it('say last words of a side that takes nothing any more', async () => {
    const back = new Arrived(near)
    await far.write(Buffer.from('no room'))
    await until(() => back.text === 'no room')
    far.destroy()
    await until(() => back.ends === 1)
    near.destroy()
    await over
  })
})
