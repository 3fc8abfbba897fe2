import { createConnection, type Socket } from 'node:net'

import { securedOffer, type Lane, type LaneTicket } from '../../../../src/mesh/lanes/lane.ts'
import { dialLaneSocket } from '../../../../src/mesh/lanes/lanedial.ts'
import { LaneServer } from '../../../../src/mesh/lanes/laneserver.ts'
import { silentLog } from '../../../../src/runtime/log.ts'
import { systemRandom } from '../../../../src/runtime/random.ts'
import { VirtualClock } from '../../../support/time.ts'

/** A lane port on loopback, on virtual time. */
export class LanePort {
  readonly clock = new VirtualClock()
  /** Who was dropped, as `time host: reason`. */
  readonly strangers: string[] = []
  readonly server: LaneServer

  constructor(init: { lanesMax?: number } = {}) {
    this.server = new LaneServer({ clock: this.clock, log: silentLog, random: systemRandom }, {
      isKnown: () => false,
      stranger: (host, reason) => this.strangers.push(`${this.clock.now()} ${host}: ${reason}`),
      ...init,
    })
  }

  async listen(): Promise<this> {
    await this.server.listen('127.0.0.1:0')
    return this
  }

  /** A plain socket that is connected to the port, and says nothing by itself. */
  async connect(): Promise<Socket> {
    const socket = plainSocket(this.server.address)
    await new Promise<void>((resolve, reject) => { socket.once('connect', resolve).once('error', reject) })
    return socket
  }

  dial(ticket: LaneTicket, signal = new AbortController().signal): Promise<Lane> {
    return dialLane({ clock: this.clock }, ticket.address, ticket, signal)
  }

  offer(signal = new AbortController().signal): { ticket: LaneTicket; lane: Promise<Lane> } {
    return securedOffer(this.server.offer(signal), signal)
  }

  /** Both ends of a lane. */
  async open(signal = new AbortController().signal): Promise<{ offered: Lane; dialed: Lane }> {
    const { ticket, lane } = this.offer(signal)
    const dialed = await this.dial(ticket, signal)
    return { offered: await lane, dialed }
  }
}

/** Dials, and makes TLS at once. */
export async function dialLane(...dialing: Parameters<typeof dialLaneSocket>): Promise<Lane> {
  return await (await dialLaneSocket(...dialing)).secure(dialing[3])
}

/** Resolves once a lane port, `host:port`, has closed a socket that sent garbage. */
export async function dialGarbage(address: string): Promise<void> {
  const socket = plainSocket(address)
  socket.write(Buffer.alloc(1_000, 0x5a))
  await closed(socket)
}

export async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise<void>((resolve) => { socket.once('close', () => resolve()) })
}

function plainSocket(address: string): Socket {
  const socket = createConnection(Number(address.split(':').at(-1)), '127.0.0.1')
  socket.on('error', () => {})
  socket.resume()
  return socket
}
