import { chown, mkdir, readdir, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'

import type { Clock } from '../runtime/clock.ts'
import type { Endpoint } from '../runtime/endpoint.ts'
import { PagemeshError, systemErrorCode } from '../runtime/errors.ts'
import type { Random } from '../runtime/random.ts'
import { createSocketEndpoint } from './socketendpoint.ts'

const PREFIX = 'handoff-'
/** What the kernel allows in a socket's path, less the terminating zero. */
const SOCKET_PATH_BYTES_MAX = 107

/**
 * A place where a QEMU and its agent meet: a directory that only QEMU's user and root can enter, with one socket.
 * It is removed as soon as both are connected.
 */
export interface Rendezvous {
  readonly socketPath: string
  /** Begins to listen; `connection` is QEMU's, once it connects. The signal ends the waiting only. */
  listen(signal: AbortSignal): Promise<{ connection: Promise<Endpoint> }>
  /** Connects to where QEMU listens; QEMU may need a moment to get there. The signal ends the connecting only. */
  connect(signal: AbortSignal): Promise<Endpoint>
  /** Idempotent. */
  remove(): Promise<void>
}

export async function createRendezvous(
  components: { clock: Clock; random: Random },
  init: { directory: string; owner: { uid: number; gid: number } },
): Promise<Rendezvous> {
  const name = Buffer.from(components.random.bytes(6)).toString('hex')
  const directory = join(init.directory, PREFIX + name)
  const socketPath = join(directory, 'qemu')
  if (Buffer.byteLength(socketPath) > SOCKET_PATH_BYTES_MAX) {
    const message = `The socket path ${socketPath} exceeds ${SOCKET_PATH_BYTES_MAX} bytes.`
    throw new PagemeshError('socket-path-too-long', message, {
      fault: 'usage',
      phase: 'preparing',
      advice: 'Put the control socket into a directory with a shorter path.',
    })
  }
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await giveTo(directory, init.owner)
  let server: Server | undefined
  const remove = async (): Promise<void> => {
    server?.close()
    server = undefined
    await rm(directory, { recursive: true, force: true })
  }
  return {
    socketPath,
    remove,
    async listen(signal) {
      const listening = createServer({ allowHalfOpen: true, pauseOnConnect: true })
      server = listening
      const connection = new Promise<Endpoint>((resolve, reject) => {
        const abort = (): void => reject(signal.reason)
        signal.addEventListener('abort', abort, { once: true })
        listening.once('close', () => signal.removeEventListener('abort', abort))
        listening.once('connection', (socket) => {
          signal.removeEventListener('abort', abort)
          if (signal.aborted) socket.destroy()
          else resolve(createSocketEndpoint(socket))
        })
        listening.once('error', reject)
      })
      // Whoever gives up before QEMU has come need not wait for it.
      connection.catch(() => undefined)
      await new Promise<void>((resolve, reject) => {
        listening.once('error', reject)
        listening.listen(socketPath, resolve)
      })
      await giveTo(socketPath, init.owner)
      return { connection }
    },
    async connect(signal) {
      for (;;) {
        signal.throwIfAborted()
        try {
          return createSocketEndpoint(await connectOnce(socketPath))
        } catch (error) {
          const code = systemErrorCode(error)
          if (code !== 'ENOENT' && code !== 'ECONNREFUSED') throw error
        }
        await components.clock.sleep(20, signal)
      }
    },
  }
}

/** Removes what a killed agent left behind in its directory. */
export async function removeStaleRendezvous(directory: string): Promise<void> {
  // What cannot be listed has nothing that could be removed.
  for (const entry of await readdir(directory).catch(() => [])) {
    if (entry.startsWith(PREFIX)) await rm(join(directory, entry), { recursive: true, force: true })
  }
}

async function giveTo(path: string, owner: { uid: number; gid: number }): Promise<void> {
  if (process.getuid?.() === owner.uid) return
  await chown(path, owner.uid, owner.gid).catch((cause: unknown) => {
    throw new PagemeshError('not-permitted', `The agent may not hand a socket to QEMU's user ${owner.uid}.`, {
      fault: 'host',
      phase: 'preparing',
      advice: 'Run the agent as root, or as the user that QEMU runs as.',
      cause,
    })
  })
}

function connectOnce(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true })
    // Before it is connected, so that nothing is read until somebody asks for it.
    socket.pause()
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}
