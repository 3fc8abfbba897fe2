import { createServer, type Server, type Socket } from 'node:net'

import { createSocketEndpoint, otherEndOf, type OtherEnd } from '../guest/index.ts'
import { listenAt } from '../host/socketfile.ts'
import { peek, type PeekedEndpoint } from '../net/peekedendpoint.ts'
import { asPagemeshError, PagemeshError, systemErrorCode } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { deferred } from '../runtime/wait.ts'
import { formatRelayAddress, type RelayAddress } from './address.ts'

/** Connections that wait to be carried: each waits for those before it. */
const WAITING_MAX = 64
const CODES = { taken: 'tunnel-taken', unusable: 'tunnel-unusable' } as const

export interface TunnelInit {
  /** The address to listen at. */
  path: RelayAddress
  /** For a UNIX socket: its mode and its group. */
  mode: number
  gid?: number
  /** Addresses of this host; listening at any other is refused. */
  hosts: ReadonlySet<string>
  /** Carries one connection; rejects with the reason if it cannot. */
  carry: (endpoint: PeekedEndpoint, otherEnd: OtherEnd) => Promise<void>
  /** A connection was not carried, and is closed. */
  onRefused: (error: PagemeshError) => void
}

/**
 * An address on this host whose connections are carried to another, one after the other in the order of their arrival.
 */
export interface Tunnel {
  /** Takes no more connections; carried ones continue. Idempotent. */
  close(): Promise<void>
  /** Resolves once it is closed. Never rejects. */
  readonly closed: Promise<void>
}

/** Throws PagemeshError `tunnel-taken`, `tunnel-unusable`, `directory-exposed` or `not-own-address`. */
export async function openTunnel(components: { log: Log }, init: TunnelInit): Promise<Tunnel> {
  const { path } = init
  const waiting = new Set<Socket>()
  let boundAt: string | undefined
  let turn = Promise.resolve()
  let isClosed = false
  const closing = deferred<void>()
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    if (waiting.size >= WAITING_MAX) {
      socket.destroy()
      return
    }
    // The reader of the connection gets the error as well.
    const ignore = (): void => {}
    socket.on('error', ignore)
    waiting.add(socket)
    // Never rejects. QEMU distinguishes its connections by their order: one at a time.
    turn = turn.then(async () => {
      waiting.delete(socket)
      if (!isClosed && !socket.destroyed) await carryOne(socket, boundAt, init)
    })
  })
  server.on('error', (error) => components.log.error('a tunnel failed', { reason: error.message }))
  const remove = path.kind === 'unix'
    ? await listenAtPath(server, path.path, init, (at) => { boundAt = at }) : await listenAtPort(server, path, init)
  return {
    closed: closing.promise,
    async close() {
      if (isClosed) return await closing.promise
      isClosed = true
      server.close()
      for (const socket of waiting) socket.destroy()
      await remove().finally(() => closing.resolve())
    },
  }
}

/** Never rejects. */
async function carryOne(socket: Socket, boundAt: string | undefined, init: TunnelInit): Promise<void> {
  let endpoint: PeekedEndpoint | undefined
  try {
    const otherEnd = await otherEndOf(socket, boundAt)
    if (socket.destroyed) return
    endpoint = peek(createSocketEndpoint(socket))
    await init.carry(endpoint, otherEnd)
  } catch (error) {
    // Its QEMU sees a broken connection at once.
    const ours = endpoint ?? socket
    ours.destroy()
    init.onRefused(asPagemeshError(error))
  }
}

async function listenAtPath(
  server: Server, path: string, { mode, gid }: TunnelInit, onBound: (boundAt: string) => void,
): Promise<() => Promise<void>> {
  const file = await listenAt(server, {
    path, mode, use: 'tunnel\'s socket', other: 'tunnel', codes: CODES, ...(gid === undefined ? {} : { gid }),
  })
  onBound(file.boundAt)
  return () => file.remove()
}

async function listenAtPort(
  server: Server, address: RelayAddress & { kind: 'tcp' }, { hosts }: TunnelInit,
): Promise<() => Promise<void>> {
  const { host, port } = address
  if (!host.startsWith('127.') && !hosts.has(host)) {
    throw new PagemeshError('not-own-address', `${host} is no address of this host.`, {
      fault: 'usage', phase: 'start', advice: 'Listen at an address of 127.0.0.0/8, or at one of this host\'s own.',
    })
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(new PagemeshError(
      systemErrorCode(cause) === 'EADDRINUSE' ? CODES.taken : CODES.unusable,
      `The tunnel cannot listen at ${formatRelayAddress(address)}: ${systemErrorCode(cause) ?? cause.message}.`,
      { fault: 'usage', phase: 'start', cause, advice: 'Choose a port that is free.' },
    )))
    server.listen({ host, port }, resolve)
  })
  return async () => {}
}
