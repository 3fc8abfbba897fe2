/**
 * A crowd of strangers in a process of its own: connections that say nothing, from the given addresses in turn, each
 * opened again as soon as it is closed. `crowdprocess.ts COUNT PORT,PORT ADDRESS,ADDRESS`; tells its parent once, when
 * all have been opened, and answers every message with how often it has connected.
 */
import { createConnection } from 'node:net'

const [count = 0, ports = '', addresses = ''] = process.argv.slice(2)
const places = addresses.split(',')
let openedCount = 0

function open(port: number, localAddress: string): void {
  const socket = createConnection({ host: '127.0.0.1', port, localAddress })
  socket.on('connect', () => { openedCount += 1 })
  // What cannot connect is closed as well, and tried again.
  socket.on('error', () => {})
  socket.resume()
  socket.once('close', () => setImmediate(open, port, localAddress))
}

for (const port of ports.split(',').map(Number)) {
  for (let index = 0; index < Number(count); index += 1) open(port, places[index % places.length]!)
}
process.on('message', () => process.send!(openedCount))
process.on('disconnect', () => process.exit())
