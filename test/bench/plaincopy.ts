import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { join } from 'node:path'

/** The same bytes over the same kinds of sockets as in a handoff, unprocessed. */
export interface PlainCopy {
  /** Copies `bytes` through a UNIX socket, a relay and a TCP socket on loopback; resolves when all have arrived. */
  run(bytes: Uint8Array): Promise<void>
  close(): Promise<void>
}

/** @param directory for the UNIX socket. */
export async function openPlainCopy(directory: string): Promise<PlainCopy> {
  let arrived: (bytes: number) => void = () => {}
  const sink = createServer((socket) => {
    let receivedBytes = 0
    socket.on('data', (bytes) => { receivedBytes += bytes.length })
    socket.on('end', () => {
      socket.end()
      arrived(receivedBytes)
    })
  })
  await listening(sink.listen(0, '127.0.0.1'))
  const relay = createServer((socket) => { socket.pipe(connect((sink.address() as AddressInfo).port, '127.0.0.1')) })
  const path = join(directory, 'copy.sock')
  await listening(relay.listen(path))
  return {
    async run(bytes) {
      const received = new Promise<number>((resolve) => { arrived = resolve })
      const source: Socket = connect(path)
      source.end(bytes)
      if (await received !== bytes.length) throw new Error('the plain copy lost bytes')
    },
    async close() {
      const closed = [once(sink, 'close'), once(relay, 'close')]
      relay.close()
      sink.close()
      await Promise.all(closed)
    },
  }
}

async function listening(server: Server): Promise<void> {
  await once(server, 'listening')
}
