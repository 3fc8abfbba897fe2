import { chmod, rename } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'

import type { Endpoint } from '../net/endpoint.ts'
import type { Clock } from '../runtime/clock.ts'
import { PagemeshError, systemErrorCode } from '../runtime/errors.ts'
import type { Random } from '../runtime/random.ts'
import { deferred, type Deferred } from '../runtime/wait.ts'
import { connectionsOf, isFrom } from './peer.ts'
import type { ProcessIdentity } from './process.ts'
import { lstatOrNothing, makeRoom, type Room } from './room.ts'
import { createSocketEndpoint } from './socketendpoint.ts'
import { unixSocketsOf } from './unixsockets.ts'

const LOOK_EVERY_MS = 20
/** Longest time for QEMU to accept a connection; afterwards the connection is given up. */
const ACCEPT_MS_MAX = 60_000
const ANYBODY_CONNECTS = 0o666
/** Connections at a rendezvous, including those of strangers: QEMU needs main, up to 16 multifd, and preempt. */
const CONNECTIONS_MAX = 64

export interface RendezvousInit {
  /** Writable by the agent alone. */
  directory: string
  /** QEMU's user id. */
  uid: number
  /** QEMU's process; undefined for a guest without one: its connections cannot be verified. */
  process: ProcessIdentity | undefined
}

/**
 * Connects a QEMU and its agent: a socket with a secret name, in a directory that only QEMU's user and the agent may
 * enter. Connections with any other process are closed. It is removed as soon as all expected connections are open.
 */
export class Rendezvous {
  readonly socketPath: string
  readonly #clock: Clock
  readonly #room: Room
  readonly #qemu: Omit<RendezvousInit, 'directory'>
  #server: Server | undefined
  #endArrivals: ((why: unknown) => void) | undefined
  /** Number of connections made by the agent. */
  #madeCount = 0

  private constructor(clock: Clock, room: Room, qemu: Omit<RendezvousInit, 'directory'>) {
    this.socketPath = join(room.inside, 'q')
    this.#clock = clock
    this.#room = room
    this.#qemu = qemu
  }

  static async create(
    { clock, random }: { clock: Clock; random: Random }, { directory, uid, process }: RendezvousInit,
  ): Promise<Rendezvous> {
    return new Rendezvous(clock, await makeRoom({ random }, { directory, uid }), { uid, process })
  }

  /** Listens; yields QEMU's connections in the order of their arrival. The signal aborts only the waiting. */
  async listen(signal: AbortSignal): Promise<AsyncGenerator<Endpoint, void>> {
    const bound = join(this.#room.path, 's')
    const { process } = this.#qemu
    const before = process === undefined ? new Set<string>() : connectionsOf(process)
    const isOurs = async (socket: Socket): Promise<boolean> =>
      process === undefined || await isFrom(socket, bound, { process, before })
    const listening = createServer({ allowHalfOpen: true, pauseOnConnect: true })
    listening.maxConnections = CONNECTIONS_MAX
    this.#server = listening
    const { arrivals, end } = arrivalsAt(listening, isOurs, signal)
    this.#endArrivals = end
    await this.#room.shut()
    await new Promise<void>((resolve, reject) => {
      listening.once('error', reject)
      listening.listen(bound, resolve)
    })
    await chmod(bound, ANYBODY_CONNECTS)
    // Renamed after binding: /proc/net/unix shows all users the name that was bound, but not the new one.
    await rename(bound, this.socketPath)
    await this.#room.open()
    return arrivals
  }

  /**
   * Connects to QEMU's listening socket; waits until QEMU listens. Resolves once QEMU has accepted the connection,
   * because QEMU identifies channels by their order. The signal aborts only the connecting.
   */
  async connect(signal: AbortSignal): Promise<Endpoint> {
    for (;;) {
      signal.throwIfAborted()
      const isThere = await isSocketOf(this.#qemu, this.socketPath)
      // QEMU is connected: nobody else needs to enter.
      if (isThere) await this.#room.shut()
      const socket = isThere ? await connectOnce(this.socketPath) : undefined
      if (socket !== undefined && await this.#isAccepted(socket, signal)) {
        this.#madeCount += 1
        return createSocketEndpoint(socket)
      }
      socket?.destroy()
      await this.#clock.sleep(LOOK_EVERY_MS, signal)
    }
  }

  /** Idempotent. */
  async remove(): Promise<void> {
    this.#server?.close()
    this.#server = undefined
    this.#endArrivals?.(new Error('the rendezvous is over'))
    await this.#room.remove()
  }

  /** Whether QEMU, and not another process with a socket at this path, accepted our connection. */
  async #isAccepted(socket: Socket, signal: AbortSignal): Promise<boolean> {
    const { process } = this.#qemu
    if (process === undefined) return true
    const deadline = this.#clock.now() + ACCEPT_MS_MAX
    try {
      while (countOf(process, 'connected', this.socketPath) <= this.#madeCount) {
        if (this.#clock.now() >= deadline) return false
        await this.#clock.sleep(LOOK_EVERY_MS, signal)
      }
      return true
    } catch (error) {
      socket.destroy()
      throw error
    }
  }
}

/** QEMU's connections, in the order of their arrival; closes those of others, and all after `end`. */
function arrivalsAt(
  server: Server, isOurs: (socket: Socket) => Promise<boolean>, signal: AbortSignal,
): { arrivals: AsyncGenerator<Endpoint, void>; end: (why: unknown) => void } {
  /** Sockets, each with whether it is QEMU's. */
  const waiting: { socket: Socket; isFit: Promise<boolean> }[] = []
  let news = ignored(deferred<void>())
  let isOver = false
  const end = (why: unknown): void => {
    isOver = true
    news.reject(why)
    signal.removeEventListener('abort', abort)
    for (const { socket } of waiting.splice(0)) socket.destroy()
  }
  const abort = (): void => end(signal.reason)
  signal.addEventListener('abort', abort)
  if (signal.aborted) abort()
  server.on('error', end)
  server.on('connection', (socket) => {
    const isFit = isOurs(socket).then((isFit) => {
      if (!isFit || isOver) socket.destroy()
      return isFit
    })
    // Awaited later, in order.
    isFit.catch(() => undefined)
    waiting.push({ socket, isFit })
    news.resolve()
  })
  return { arrivals: arrive(), end }

  async function* arrive(): AsyncGenerator<Endpoint, void> {
    for (;;) {
      const arrival = waiting.shift()
      if (arrival === undefined) {
        await news.promise
        if (!isOver) news = ignored(deferred())
      } else if (await arrival.isFit && !isOver) yield createSocketEndpoint(arrival.socket)
    }
  }
}

function ignored(waited: Deferred<void>): Deferred<void> {
  // The caller may have given up before QEMU came.
  waited.promise.catch(() => undefined)
  return waited
}

/**
 * Whether QEMU listens at the path. Throws PagemeshError `rendezvous-disturbed` if QEMU listens but its socket was
 * removed or replaced.
 */
async function isSocketOf({ uid, process }: Omit<RendezvousInit, 'directory'>, path: string): Promise<boolean> {
  const listens = process !== undefined && countOf(process, 'listening', path) > 0
  if (process !== undefined && !listens) return false
  const file = await lstatOrNothing(path)
  if (file?.isSocket() === true && file.uid === uid) return true
  if (!listens) return false
  throw new PagemeshError('rendezvous-disturbed', 'The socket at which the guest\'s QEMU waits was taken away.', {
    fault: 'host', phase: 'preparing', data: { path },
    advice: `Only a process of QEMU's own user (${uid}) or of root can do that: find it, and try again.`,
  })
}

function countOf({ pid }: ProcessIdentity, state: 'listening' | 'connected', path: string): number {
  return unixSocketsOf(pid).filter((socket) => socket.state === state && socket.path === path).length
}

/** Undefined if the socket no longer listens. */
function connectOnce(path: string): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true })
    // Paused before it is connected, so that no byte is read before the endpoint takes over.
    socket.pause()
    socket.once('error', (error) => {
      const code = systemErrorCode(error)
      if (code === 'ENOENT' || code === 'ECONNREFUSED') resolve(undefined)
      else reject(error)
    })
    socket.once('connect', () => {
      socket.removeAllListeners('error')
      resolve(socket)
    })
  })
}
