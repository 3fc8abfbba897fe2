/**
 * A host of the mesh in its own process, for tests that attack and measure it: sends its parent its addresses, on
 * request its memory and counters, and gives a lane to every member that asks for one. Logs to standard error.
 */
import { fromString } from 'uint8arrays/from-string'

import { createLibp2pMesh, deriveKeys } from '../../src/mesh/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { createLog } from '../../src/runtime/log.ts'
import { systemRandom } from '../../src/runtime/random.ts'

export interface HostFigures {
  rssBytes: number
  strangerCount: number
}

/** Its first message. */
export interface HostPlaces {
  /** The multiaddr of its mesh port. */
  address: string
  /** `host:port` of its lane port. */
  lane: string
}

const mesh = createLibp2pMesh({ clock: systemClock, log: createLog('warn'), random: systemRandom }, {
  name: 'host', keys: deriveKeys(fromString(process.argv[2]!, 'hex')), listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap: [],
})
mesh.handle('/test/lane/1', async (stream) => {
  const { ticket, lane } = mesh.offerLane(AbortSignal.timeout(20_000))
  await stream.send(fromString(JSON.stringify(ticket)))
  const opened = await lane
  opened.receive((bytes) => { opened.write(bytes.slice()) })
  await opened.closed
})
await mesh.start()
process.on('message', () => {
  // Garbage is not counted: when it is collected depends on the machine's load.
  globalThis.gc!()
  const figures: HostFigures = { rssBytes: process.memoryUsage.rss(), strangerCount: mesh.strangerCount }
  process.send!(figures)
})
process.on('disconnect', () => process.exit())
const places: HostPlaces = {
  address: mesh.self.address, lane: mesh.offerLane(AbortSignal.timeout(1)).ticket.address,
}
process.send!(places)
