import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmodSync, mkdirSync, symlinkSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'

import type { ManagerLab } from './managerlab.ts'
import { StreamEnds } from './streamends.ts'

const AGENT_PORT = 4001
const LANE_PORT = 4002
const OPEN_PORT = 49_155
const BYTES = 1000

/** Tests that a member can have another host dial only what that host's configuration allows. */
export function shut(lab: () => ManagerLab): void {
  const ends = new StreamEnds()
  const servers: Server[] = []

  afterEach(async () => {
    await ends.stop()
    for (const server of servers.splice(0)) server.close()
  })

  /** The code with which b refuses to dial an address. */
  async function refusalOf(remotePath: string): Promise<string> {
    const path = join(lab().cluster.directory, 'a', 'knock')
    const tunnel = await lab().openTunnel({ path, remotePath })
    try {
      const socket = connect(path).resume()
      // The test looks at why it was closed.
      socket.on('error', () => {})
      await once(socket, 'close')
      return (await tunnel.refused()).code
    } finally {
      await tunnel.close()
    }
  }

  it('gets no port that is not configured, no loopback, and no port of a third host', async () => {
    const { network } = lab().cluster
    const [a, b] = [network.host('a'), network.host('b')]
    const places = [
      [b, b.address, 49_151], [b, b.address, 49_216], [b, '127.0.0.1', OPEN_PORT], [b, '::1', OPEN_PORT],
      [b, '127.65.0.1', 20_500], [b, '127.64.0.1', 31_000], [a, a.address, OPEN_PORT],
    ] as const
    const sinks = []
    for (const [host, address, port] of places) sinks.push(await ends.listen(host, 'sink', address, port))
    for (const [, address, port] of places) {
      const text = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
      assert.equal(await refusalOf(text), 'not-allowed', text)
    }
    for (const port of [AGENT_PORT, LANE_PORT]) assert.equal(await refusalOf(`${b.address}:${port}`), 'not-allowed')
    assert.equal(await refusalOf(`0.0.0.0:${OPEN_PORT}`), 'not-allowed')
    for (const sink of sinks) assert.equal(sink.errors, '"ready"', 'nobody came')
  })

  it('gets what is configured', async () => {
    const [a, b] = [lab().cluster.network.host('a'), lab().cluster.network.host('b')]
    const sink = await ends.listen(b, 'sink', b.address, OPEN_PORT)
    const tunnel = await lab().openTunnel({ path: '127.64.0.4:20400', remotePath: `${b.address}:${OPEN_PORT}` })
    try {
      const { written, arrived } = await ends.stream({ from: a, sink }, '127.64.0.4', 20_400, BYTES, 1)
      assert.deepEqual(arrived, { bytes: BYTES, check: written.check })
    } finally {
      await tunnel.close()
    }
  })

  it('gets no name, and no address in a second form', async () => {
    const texts = [
      'localhost:49155', 'host-b:49155', '[::ffff:10.77.0.2]:49155', '[fe80::1%eth0]:49155', '127.64.2:20500',
      '0x7f.1:80',
    ]
    for (const text of texts) await assert.rejects(refusalOf(text), { code: 'bad-address' }, text)
  })

  it('gets no socket elsewhere, none through a link, and none of the agent or a guest', async () => {
    const directory = join(lab().cluster.directory, 'b')
    const guests = join(directory, 'guests')
    const outside = join(directory, 'outside.in')
    let visits = 0
    const server = createServer((socket) => {
      visits += 1
      socket.destroy()
    }).listen(outside)
    servers.push(server)
    await once(server, 'listening')
    chmodSync(outside, 0o777)
    mkdirSync(join(guests, 'deep'), { recursive: true })
    symlinkSync(outside, join(guests, 'link.in'))
    const refused = [outside, join(guests, 'deep', 'x.in'), join(guests, 'twin.qmp'), join(directory, 'control.sock')]
    for (const path of refused) assert.equal(await refusalOf(path), 'not-allowed', path)
    for (const name of ['link.in', 'nobody.in']) assert.equal(await refusalOf(join(guests, name)), 'not-dialled', name)
    for (const path of [`${guests}/../outside.in`, `${guests}//link.in`, `${guests}/./link.in`]) {
      await assert.rejects(refusalOf(path), { code: 'bad-address' }, path)
    }
    assert.equal(visits, 0)
  })
}
