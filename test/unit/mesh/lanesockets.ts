import { createConnection, type Socket } from 'node:net'

/** A plain socket to a lane port, `host:port`, that says nothing by itself. */
export function dialPort(address: string): Socket {
  const port = Number(address.split(':').at(-1))
  const socket = createConnection(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.resume()
  return socket
}

/** Resolves once the lane port has closed a socket that sent garbage. */
export async function dialGarbage(address: string): Promise<void> {
  const socket = dialPort(address)
  const closed = new Promise<void>((resolve) => { socket.once('close', () => resolve()) })
  socket.write(Buffer.alloc(1_000, 0x5a))
  await closed
}
