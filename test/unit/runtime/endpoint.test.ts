import { strict as assert } from 'node:assert'

import { createEndpointPair } from '../../../src/runtime/endpoint.ts'
import { Arrived, itIsAnEndpoint, until } from './endpointcontract.ts'

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
})
