/** Switches learn where a guest is: its QEMU announces it when it is let run, and not only when it was loaded. */
import assert from 'node:assert/strict'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'

import { skipWithoutQemu, until } from '../support/qemuprocess.ts'
import { close, GuestLab } from './guestmoves.ts'

/** Where an Ethernet frame says what it is, and that of reverse ARP. */
const TYPE_OFFSET = 12
const REVERSE_ARP = 0x8035
/** QEMU announces a guest that it has loaded so often. */
const ROUNDS = 5

/** The end of a guest's cable. */
interface Cable {
  words: string[]
  announced: number
}

describe('a guest on the network', function () {
  this.timeout(120_000)
  const sockets: Socket[] = []
  let lab: GuestLab

  before(skipWithoutQemu)
  beforeEach(() => { lab = new GuestLab() })
  afterEach(async () => {
    await lab.close()
    for (const socket of sockets.splice(0)) socket.close()
  })

  async function bound(): Promise<Socket> {
    const socket = createSocket('udp4').bind(0, '127.0.0.1')
    sockets.push(socket)
    await once(socket, 'listening')
    return socket
  }

  async function cable(): Promise<Cable> {
    const here = await bound()
    const there = await bound()
    const end = `udp=127.0.0.1:${here.address().port},localaddr=127.0.0.1:${there.address().port}`
    const made: Cable = {
      words: ['-netdev', `socket,id=n0,${end}`, '-device', 'e1000,netdev=n0,romfile=,mac=52:54:00:12:34:56'],
      announced: 0,
    }
    here.on('message', (frame) => { if (frame.readUInt16BE(TYPE_OFFSET) === REVERSE_ARP) made.announced += 1 })
    // QEMU takes its place.
    sockets.splice(sockets.indexOf(there), 1)
    there.close()
    return made
  }

  it('is announced by the destination once it is released, however late', async () => {
    const [source, destination] = [await cable(), await cable()]
    await lab.boot('a', ...source.words)
    await lab.wait('b', ...destination.words)
    const move = await lab.move('a', 'b')
    assert.equal(await move.incoming.release('running'), 'running')
    // QEMU holds back what it announces of a paused guest, and then begins anew.
    await until(() => destination.announced === 2 * ROUNDS)
    assert.equal(source.announced, 0)
    await close(move)
  })

  it('is announced by the source again if it is kept after its copy was loaded', async () => {
    const [source, destination] = [await cable(), await cable()]
    await lab.boot('a', ...source.words)
    await lab.wait('b', ...destination.words)
    const move = await lab.move('a', 'b')
    await move.incoming.end()
    assert.equal(source.announced, 0)
    assert.equal(await move.outgoing.takeBack('running'), 'running')
    await until(() => source.announced === ROUNDS)
    await close(move)
  })
})
