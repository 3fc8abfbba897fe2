import assert from 'node:assert/strict'
import { once } from 'node:events'
import { closeSync, readdirSync } from 'node:fs'
import { connect, createServer, Socket, type AddressInfo } from 'node:net'

import { giveAway, kernelInUse } from '../../../../src/page/index.ts'
import { until } from '../../../support/passagerelay.ts'

/** Two connected sockets; `near` reads nothing until somebody asks for it. */
async function connected(): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ pauseOnConnect: true })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const far = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [near] = await accepted
  server.close()
  return { near, far }
}

function reopen(fd: number): Socket {
  return new Socket({ fd })
}

describe('a socket whose connection is given away', () => {
  before(function () {
    if (kernelInUse() === 'package') this.skip()
  })

  it('is destroyed, and the connection lives on', async () => {
    const { near, far } = await connected()
    const handed = giveAway(near)
    assert.ok(handed !== undefined && handed.fd > 2 && handed.early.length === 0)
    assert.ok(near.destroyed)
    await once(near, 'close')
    const opened = reopen(handed.fd)
    far.write('to the new one')
    assert.equal(String((await once(opened, 'data'))[0]), 'to the new one')
    opened.end('and back')
    assert.equal(String((await once(far, 'data'))[0]), 'and back')
    far.destroy()
  })

  it('gives along what was read of it, and leaves in the connection what was not', async () => {
    const { near, far } = await connected()
    near.once('readable', () => {})
    far.write('read')
    await until(() => near.readableLength === 4)
    const handed = giveAway(near)!
    far.write('unread')
    assert.equal(Buffer.from(handed.early).toString(), 'read')
    const opened = reopen(handed.fd)
    assert.equal(String((await once(opened, 'data'))[0]), 'unread')
    opened.destroy()
    await once(far, 'close')
  })

  it('has nothing to give once it is closed, or before it is connected', async () => {
    const { near, far } = await connected()
    near.destroy()
    assert.equal(giveAway(near), undefined)
    assert.equal(giveAway(new Socket()), undefined)
    far.destroy()
  })

  it('leaves one descriptor, for whoever gets it', async () => {
    const { near, far } = await connected()
    const open = (): number => readdirSync('/proc/self/fd').length
    const before = open()
    const handed = giveAway(near)!
    await once(near, 'close')
    assert.equal(open(), before)
    closeSync(handed.fd)
    far.on('error', () => {}).resume()
    await once(far, 'close')
  })
})
