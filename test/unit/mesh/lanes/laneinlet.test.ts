import { strict as assert } from 'node:assert'
import { PassThrough } from 'node:stream'
import type { TLSSocket } from 'node:tls'

import { LaneInlet } from '../../../../src/mesh/lanes/laneinlet.ts'
import { nextTurn } from '../../../../src/runtime/turn.ts'

describe('the reading side of a lane over a socket whose insides it does not know', () => {
  it('has every piece as an event, from the first on, and holds the socket while it is paused', async () => {
    const socket = new PassThrough()
    const inlet = new LaneInlet(socket as unknown as TLSSocket)
    socket.write('early ')
    await nextTurn()
    const pieces: string[] = []
    inlet.deliver((bytes) => { pieces.push(Buffer.from(bytes).toString()) })
    await nextTurn()
    assert.equal(pieces.join(''), 'early ')
    inlet.pause()
    socket.write('late')
    await nextTurn()
    assert.equal(pieces.join(''), 'early ')
    inlet.resume()
    await nextTurn()
    assert.equal(pieces.join(''), 'early late')
  })
})
