import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'

import type { HostPort } from '../net/hostport.ts'
import { descriptorOf } from '../page/index.ts'
import { systemErrorCode } from '../runtime/errors.ts'
import { deferred } from '../runtime/wait.ts'
import { LISTENER_HOSTS, LISTENER_PORTS } from './ports.ts'

/** Connections that may queue for `accept`: managers open many channels at once. */
const BACKLOG = 1024

/** Where intercepted connections arrive. */
export class Listeners {
  readonly #servers: readonly Server[]
  readonly #failed = deferred<string>()
  /** Resolves with the reason if a listener ends by itself. Never rejects. */
  readonly failed = this.#failed.promise

  private constructor(servers: readonly Server[]) {
    this.#servers = servers
    for (const server of servers) server.on('error', (error) => this.#failed.resolve(error.message))
  }

  /** Listens on IPv4, and on IPv6 if available. Throws the system's error if no port is free. */
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
    return this.#servers.flatMap((server) => descriptorOf(server) ?? [])
  }

  /** Stops listening; open connections stay. */
  close(): void {
    for (const server of this.#servers) server.close()
  }
}

/** Listens on the first free port; undefined if this system has no such address. */
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
