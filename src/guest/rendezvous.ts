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
import { lstatOrNothing, makeRoom } from './room.ts'
import { createSocketEndpoint } from './socketendpoint.ts'
import { unixSocketsOf } from './unixsockets.ts'

const LOOK_EVERY_MS = 20
/** How long a QEMU may take to accept a connection; whoever it is that does not is left. */
const ACCEPT_MS_MAX = 60_000
const ANYBODY_CONNECTS = 0o666
/** At a rendezvous, strangers with them: a QEMU has a main channel, up to 16 beside it, and one for urgent pages. */
const CONNECTIONS_MAX = 64

/**
 * A place where a QEMU and its agent meet: a socket whose name only they know, in a room that only QEMU's user and the
 * agent enter. Whoever comes, or is met there, is that QEMU, or is left. It is removed as soon as all connections that
 * were to come are there.
 */
export interface Rendezvous {
  readonly socketPath: string
  /** Begins to listen; gives QEMU's connections in the order in which they come. The signal ends the waiting only. */
  listen(signal: AbortSignal): Promise<AsyncGenerator<Endpoint, void>>
  /**
   * Connects to where QEMU listens; QEMU may need a moment to get there. Resolves once QEMU has taken the connection,
   * for it tells several apart by their order. The signal ends the connecting only.
   */
  connect(signal: AbortSignal): Promise<Endpoint>
  /** Idempotent. */
  remove(): Promise<void>
}

export interface RendezvousInit {
  /** Only the agent may write it. */
  directory: string
  /** QEMU's user. */
  uid: number
  /** QEMU's; undefined for a guest that has none, which cannot be told from others. */
  process: ProcessIdentity | undefined
}

export async function createRendezvous(
  components: { clock: Clock; random: Random }, { directory, uid, process }: RendezvousInit,
): Promise<Rendezvous> {
  const room = await makeRoom(components, { directory, uid })
  const socketPath = join(room.inside, 'q')
  let server: Server | undefined
  let endArrivals: ((why: unknown) => void) | undefined
  /** Connections that were made from here. */
  let madeCount = 0
  return {
    socketPath,
    async remove() {
      server?.close()
      server = undefined
      endArrivals?.(new Error('the rendezvous is over'))
      await room.remove()
    },
    async listen(signal) {
      const bound = join(room.path, 's')
      const before = process === undefined ? new Set<string>() : connectionsOf(process)
      const isOurs = async (socket: Socket): Promise<boolean> =>
        process === undefined || await isFrom(socket, bound, { process, before })
      const listening = createServer({ allowHalfOpen: true, pauseOnConnect: true })
      listening.maxConnections = CONNECTIONS_MAX
      server = listening
      const { arrivals, end } = arrivalsAt(listening, isOurs, signal)
      endArrivals = end
      await room.shut()
      await new Promise<void>((resolve, reject) => {
        listening.once('error', reject)
        listening.listen(bound, resolve)
      })
      await chmod(bound, ANYBODY_CONNECTS)
      // The kernel tells everybody where a socket was bound, and not where it went.
      await rename(bound, socketPath)
      await room.open()
      return arrivals
    },
    async connect(signal) {
      for (;;) {
        signal.throwIfAborted()
        const isThere = await isSocketOf({ uid, process }, socketPath)
        // Who else could enter would only do harm from now on.
        if (isThere) await room.shut()
        const socket = isThere ? await connectOnce(socketPath) : undefined
        if (socket !== undefined && await isAccepted(socket, signal)) {
          madeCount += 1
          return createSocketEndpoint(socket)
        }
        socket?.destroy()
        await components.clock.sleep(LOOK_EVERY_MS, signal)
      }
    },
  }

  /** Whether QEMU has taken our connection: what was planted at the path would have led us elsewhere. */
  async function isAccepted(socket: Socket, signal: AbortSignal): Promise<boolean> {
    if (process === undefined) return true
    const deadline = components.clock.now() + ACCEPT_MS_MAX
    try {
      while (countOf(process, 'connected', socketPath) <= madeCount) {
        if (components.clock.now() >= deadline) return false
        await components.clock.sleep(LOOK_EVERY_MS, signal)
      }
      return true
    } catch (error) {
      socket.destroy()
      throw error
    }
  }
}

/** QEMU's connections, in the order in which they came; others are closed, and whoever comes after `end`. */
function arrivalsAt(
  server: Server, isOurs: (socket: Socket) => Promise<boolean>, signal: AbortSignal,
): { arrivals: AsyncGenerator<Endpoint, void>; end: (why: unknown) => void } {
  /** Each with whether it is QEMU's. */
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
    // It is awaited in its turn.
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
  // Whoever gives up before QEMU has come need not wait for it.
  waited.promise.catch(() => undefined)
  return waited
}

/**
 * Whether QEMU listens at the path. Throws PagemeshError `rendezvous-disturbed` if it does, and its socket is not there
 * any more.
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

/** Undefined if nobody listens there any more. */
function connectOnce(path: string): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true })
    // Before it is connected, so that nothing is read until somebody asks for it.
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
