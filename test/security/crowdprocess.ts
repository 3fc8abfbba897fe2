/**
 * A crowd of strangers in its own process: silent connections from the given addresses in turn, each reopened as soon
 * as it is closed. `crowdprocess.ts COUNT PORT,PORT ADDRESS,ADDRESS`; notifies its parent once all are open, and
 * answers every message with its number of connections so far.
 */
import { createConnection } from 'node:net'

const [count = 0, ports = '', addresses = ''] = process.argv.slice(2)
const places = addresses.split(',')
let openedCount = 0

function open(port: number, localAddress: string): void {
  const socket = createConnection({ host: '127.0.0.1', port, localAddress })
  socket.on('connect', () => { openedCount += 1 })
  // A failed connection is closed as well, and retried.
  socket.on('error', () => {})
  socket.resume()
  socket.once('close', () => setImmediate(open, port, localAddress))
}

for (const port of ports.split(',').map(Number)) {
  for (let index = 0; index < Number(count); index += 1) open(port, places[index % places.length]!)
}
process.on('message', () => process.send!(openedCount))
process.on('disconnect', () => process.exit())
