import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'

import type { HostPort } from '../net/hostport.ts'
import { systemErrorCode } from '../runtime/errors.ts'
import { deferred } from '../runtime/wait.ts'
import { LISTENER_HOSTS, LISTENER_PORTS } from './ports.ts'

/** Connections that wait until the agent has a moment, such as many channels at once. */
const BACKLOG = 1024

/** The part of a server that Node does not document: the operating system's end of it. */
interface Described {
  _handle?: { fd?: number } | null
}

/** Where intercepted connections arrive. */
export class Listeners {
  readonly #servers: readonly Server[]
  readonly #failed = deferred<string>()
  /** Resolves, with the reason, if one of them ends by itself. Never rejects. */
  readonly failed = this.#failed.promise

  private constructor(servers: readonly Server[]) {
    this.#servers = servers
    for (const server of servers) server.on('error', (error) => this.#failed.resolve(error.message))
  }

  /** Listens for IPv4, and for IPv6 where there is any. Throws the system's error where no port is free. */
  static async open(onConnection: (socket: Socket) => void): Promise<Listeners> {
    const servers: Server[] = []
    try {
      for (const host of LISTENER_HOSTS) {
        const server = await listenAt(host, onConnection)
        if (server !== undefined) servers.push(server)
      }
      return new Listeners(servers)
    } catch (error) {
      for (const server of servers) server.close()
      throw error
    }
  }

  get addresses(): HostPort[] {
    return this.#servers.flatMap((server) => {
      const address = server.address()
      return address === null || typeof address === 'string' ? [] : [{ host: address.address, port: address.port }]
    })
  }

  get fds(): number[] {
    return this.#servers.flatMap((server) => (server as unknown as Described)._handle?.fd ?? [])
  }

  /** Connections that have arrived stay. */
  close(): void {
    for (const server of this.#servers) server.close()
  }
}

/** At the first port that is free; undefined where this system has no such address. */
async function listenAt(host: string, onConnection: (socket: Socket) => void): Promise<Server | undefined> {
  for (let port = LISTENER_PORTS.first; ; port++) {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, onConnection)
    try {
      await once(server.listen({ host, port, backlog: BACKLOG, exclusive: true }), 'listening')
      return server
    } catch (error) {
      const code = systemErrorCode(error)
      if (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT') return undefined
      if (code !== 'EADDRINUSE' || port === LISTENER_PORTS.last) throw error
    }
  }
}
