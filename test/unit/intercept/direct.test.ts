import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'

import { DirectDials } from '../../../src/intercept/direct.ts'
import { DIRECT_PORTS } from '../../../src/intercept/ports.ts'
import type { Endpoint } from '../../../src/net/endpoint.ts'
import { systemClock } from '../../../src/runtime/clock.ts'

const HOST = '127.64.0.7'
const PORT_COUNT = DIRECT_PORTS.last - DIRECT_PORTS.first + 1

describe('what goes to a member past the own table', () => {
  let server: Server
  let port: number
  const { signal } = new AbortController()
  const came: Socket[] = []
  const opened: Endpoint[] = []

  beforeEach(async () => {
    server = createServer((socket) => {
      // A test's end breaks it.
      socket.on('error', () => {})
      came.push(socket)
    }).listen(0, HOST)
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  })

  afterEach(() => {
    for (const one of [...came.splice(0), ...opened.splice(0)]) one.destroy()
    server.close()
  })

  async function dial(dials: DirectDials): Promise<void> {
    opened.push(await dials.connect({ host: HOST, port }, signal))
  }

  it('comes from a port by which the table knows it, as many at once as there are such ports', async () => {
    const dials = new DirectDials({ clock: systemClock })
    for (let count = 0; count < PORT_COUNT; count++) await dial(dials)
    while (came.length < PORT_COUNT) await once(server, 'connection')
    const ports = came.map(({ remotePort }) => remotePort!)
    assert.ok(ports.every((one) => one >= DIRECT_PORTS.first && one <= DIRECT_PORTS.last), ports.join())
    assert.equal(new Set(ports).size, PORT_COUNT)
    await assert.rejects(dial(dials), { code: 'host-unreachable', fault: 'network' })
  })

  it('takes another port where one is taken by somebody else', async () => {
    await dial(new DirectDials({ clock: systemClock }))
    await dial(new DirectDials({ clock: systemClock }))
    while (came.length < 2) await once(server, 'connection')
    assert.notEqual(came[0]!.remotePort, came[1]!.remotePort)
  })

  it('says that nobody is there, and heeds who does not want it any more', async () => {
    const dials = new DirectDials({ clock: systemClock })
    const nobody = createServer().listen(0, HOST)
    await once(nobody, 'listening')
    const gone = { host: HOST, port: (nobody.address() as AddressInfo).port }
    await new Promise((resolve) => nobody.close(resolve))
    const address = `${HOST}:${gone.port}`
    await assert.rejects(dials.connect(gone, signal), { code: 'host-unreachable', data: { address } })
    const why = new Error('the agent stops')
    await assert.rejects(dials.connect({ host: HOST, port }, AbortSignal.abort(why)), why)
  })

  it('is read by whoever takes it, from the first byte on, and half-closes', async () => {
    const dials = new DirectDials({ clock: systemClock })
    await dial(dials)
    while (came.length < 1) await once(server, 'connection')
    came[0]!.end('hello')
    const heard = await new Promise<string>((resolve) => {
      let text = ''
      opened[0]!.receive((bytes) => { text += bytes.toString() }, () => resolve(text))
    })
    assert.equal(heard, 'hello')
    const back = once(came[0]!, 'data')
    await opened[0]!.write(Buffer.from('and back'))
    assert.equal(String((await back)[0]), 'and back')
  })
})
