import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

import type {
  Guest, GuestMemory, GuestState, IncomingMigration, MigrationProgress, OutgoingMigration,
} from '../../../src/guest/index.ts'
import { PAGE_BYTES } from '../../../src/page/index.ts'
import { deferred } from '../../../src/runtime/wait.ts'

const OWNER = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
/** What a destination QEMU says at the end of a load: SHUT, 0. */
const SHUT = Buffer.from('000100040000' + '0000', 'hex')

/** Memory of one block that the test itself holds; all pages are resident. */
export function memoryOf(name: string, pages: readonly Uint8Array[]): GuestMemory {
  return {
    name,
    blocks: [{ name: 'ram', bytes: pages.length * PAGE_BYTES }],
    async resident(_block, firstPage, pageCount, into) {
      for (let i = 0; i < pageCount; i++) into[i] = pages[firstPage + i] === undefined ? 0 : 1
    },
    async read(_block, firstPage, pageCount, into) {
      for (let i = 0; i < pageCount; i++) into.set(pages[firstPage + i]!, i * PAGE_BYTES)
    },
    async close() {},
  }
}

/** What a test may do to a source guest while it moves. */
export interface SourceControl {
  state: GuestState
  cancelled: boolean
  /** Bytes that came back over the return path. */
  returned: Buffer
}

/** A guest that writes `stream` when told to migrate; it completes when the other end says SHUT. */
export function sourceGuest(
  name: string, pages: readonly Uint8Array[], stream: Uint8Array,
  options: { holdAfter?: number; onShut?: (control: SourceControl) => void } = {},
): { guest: Guest; control: SourceControl } {
  const control: SourceControl = { state: 'running', cancelled: false, returned: Buffer.alloc(0) }
  const guest: Guest = {
    name,
    memory: memoryOf(name, pages),
    state: async () => control.state,
    openOutgoing: async () => {
      let status = 'none'
      let socket: Socket | undefined
      const listeners: ((status: string) => void)[] = []
      const become = (next: string): void => {
        if (['completed', 'failed', 'cancelled'].includes(status)) return
        status = next
        for (const listener of listeners) listener(next)
      }
      const migration: OutgoingMigration = {
        owner: OWNER,
        gone: new Promise(() => {}),
        prepare: async () => ({ running: control.state === 'running' }),
        async begin(socketPath) {
          const connection = connect(socketPath)
          socket = connection
          become('active')
          connection.on('error', () => become('failed'))
          connection.on('close', () => become('failed'))
          connection.on('data', (bytes) => {
            control.returned = Buffer.concat([control.returned, bytes])
            if (!control.returned.subarray(-SHUT.length).equals(SHUT)) return
            if (options.onShut !== undefined) {
              options.onShut(control)
              return
            }
            control.state = 'postmigrate'
            become('completed')
            connection.end()
          })
          const whole = Buffer.from(stream.buffer, stream.byteOffset, stream.byteLength)
          connection.write(options.holdAfter === undefined ? whole : whole.subarray(0, options.holdAfter))
        },
        progress: async (): Promise<MigrationProgress> => ({
          status, transferredBytes: 0, remainingBytes: 0, totalBytes: stream.length, dirtySyncCount: 1, downtimeMs: 5,
        }),
        onStatus: (listener) => listeners.push(listener),
        async startPostcopy() {},
        async cancel() {
          control.cancelled = true
          socket?.destroy()
          become('cancelled')
        },
        async close() {},
      }
      return migration
    },
  }
  return { guest, control }
}

/** What a destination guest got. */
export interface DestinationControl {
  state: GuestState
  /** What came, unless it is discarded. */
  readonly received: Buffer
  receivedBytes: number
  abandoned: boolean
}

/** A guest that waits; once it has `expectedBytes` it says SHUT and closes, as QEMU does. */
export function destinationGuest(
  name: string, expectedBytes: number, options: { dieAfter?: number; discard?: boolean } = {},
): { guest: Guest; control: DestinationControl } {
  const pieces: Buffer[] = []
  const control: DestinationControl = {
    state: 'inmigrate', receivedBytes: 0, abandoned: false,
    get received() { return Buffer.concat(pieces) },
  }
  const gone = deferred<Error>()
  const guest: Guest = {
    name,
    memory: memoryOf(name, []),
    state: async () => control.state,
    openIncoming: async () => {
      let status = 'none'
      let server: Server | undefined
      const migration: IncomingMigration = {
        owner: OWNER,
        gone: gone.promise,
        async prepare() {},
        async begin(socketPath) {
          server = createServer((socket) => {
            socket.on('error', () => undefined)
            socket.on('data', (bytes) => {
              if (options.discard !== true) pieces.push(bytes)
              control.receivedBytes += bytes.length
              if (options.dieAfter !== undefined && control.receivedBytes >= options.dieAfter) {
                gone.resolve(new Error('killed'))
                socket.destroy()
              } else if (control.receivedBytes >= expectedBytes) {
                control.state = 'paused'
                status = 'completed'
                socket.end(SHUT)
              }
            })
          })
          server.listen(socketPath)
          await once(server, 'listening')
        },
        state: async () => control.state,
        progress: async () => {
          if (options.dieAfter !== undefined && control.receivedBytes >= options.dieAfter) throw new Error('gone')
          return { status }
        },
        onStatus() {},
        async release() {
          control.state = 'running'
        },
        async abandon() {
          control.abandoned = true
        },
        async close() {
          server?.close()
        },
      }
      return migration
    },
  }
  return { guest, control }
}
