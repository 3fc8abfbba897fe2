import { Socket } from 'node:net'

import { createSocketEndpoint } from '../guest/index.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { formatHostPort, type HostPort } from '../net/hostport.ts'
import type { Clock } from '../runtime/clock.ts'
import { PagemeshError, systemErrorCode } from '../runtime/errors.ts'
import { withDeadline } from '../runtime/wait.ts'
import { DIRECT_PORTS } from './ports.ts'

const CONNECT_MS_MAX = 20_000
const PORT_COUNT = DIRECT_PORTS.last - DIRECT_PORTS.first + 1

/** Connects to members without interception by our own table, from source ports that the table exempts. */
export class DirectDials {
  readonly #clock: Clock
  #turn = 0

  constructor(components: { clock: Clock }) {
    this.#clock = components.clock
  }

  /** Throws PagemeshError `host-unreachable`, or the signal's reason. */
  async connect(to: HostPort, signal: AbortSignal): Promise<Endpoint> {
    const late = (): Error => unreachable(to, new Error('no answer in time'))
    return await withDeadline(this.#clock, { signal, limitMs: CONNECT_MS_MAX, late }, async (within) => {
      for (let tries = 1; ; tries++) {
        within.throwIfAborted()
        const localPort = DIRECT_PORTS.first + this.#turn++ % PORT_COUNT
        try {
          return await connectFrom(localPort, to, within)
        } catch (error) {
          within.throwIfAborted()
          // This source port already has a connection to that address.
          const isTaken = ['EADDRINUSE', 'EADDRNOTAVAIL'].includes(systemErrorCode(error) ?? '')
          if (!isTaken || tries === PORT_COUNT) throw unreachable(to, error)
        }
      }
    })
  }
}

function connectFrom(localPort: number, to: HostPort, signal: AbortSignal): Promise<Endpoint> {
  const socket = new Socket({ allowHalfOpen: true }).setNoDelay()
  // Paused before it is connected, so that the endpoint gets the first byte.
  socket.pause()
  const abort = (): void => { socket.destroy(new Error('given up')) }
  signal.addEventListener('abort', abort, { once: true })
  return new Promise<Endpoint>((resolve, reject) => {
    socket.on('error', reject)
    socket.connect({ ...to, localPort }, () => resolve(createSocketEndpoint(socket)))
  }).finally(() => signal.removeEventListener('abort', abort))
}

function unreachable(to: HostPort, cause: unknown): PagemeshError {
  const address = formatHostPort(to)
  return new PagemeshError('host-unreachable', `${address} cannot be connected to: ${(cause as Error).message}.`, {
    fault: 'network', phase: 'interception', data: { address }, cause,
  })
}
