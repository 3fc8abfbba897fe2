/** Guests that are no QEMU: they write and take streams over real sockets, and do what a test tells them. */
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

import {
  MAIN_ONLY, type Guest, type GuestMemory, type GuestState, type IncomingMigration, type MachineDescription,
  type MigrationNews, type MigrationProgress, type MigrationSide, type OpenInit, type OutgoingMigration,
  type SettingsUndo,
} from '../../src/guest/index.ts'
import { PAGE_BYTES } from '../../src/page/index.ts'
import { deferred } from '../../src/runtime/wait.ts'

const UID = process.geteuid?.() ?? 0
/** What a destination QEMU says at the end of a load: SHUT, 0. */
const SHUT = Buffer.from('000100040000' + '0000', 'hex')
/** As one that is not asked to give up any more. */
const CUT: readonly string[] = ['postcopy-paused', 'postcopy-recover', 'postcopy-recover-setup']
const ENDED: readonly string[] = ['completed', 'failed', 'cancelled']

export const MACHINE: MachineDescription = {
  qemuVersion: '7.2.22', machine: 'pc-i440fx-7.2', blocks: [], capabilities: {}, blockers: [], startsPaused: false,
}
/** What a handoff changes in these guests. */
export const UNDO: SettingsUndo = { capabilities: { 'return-path': false }, parameters: {}, autostart: false }

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

/** What both guests have in common: a state, a migration's status, sessions that hear of it, a process that ends. */
export abstract class FakeGuest {
  state: GuestState
  status = 'none'
  machine = MACHINE
  /** What it was told, in order: those that change something. */
  readonly told: string[] = []
  /** What it answers a command with instead of doing it. */
  readonly refuses: Record<string, Error> = {}
  /** Its settings are those of a handoff. */
  isChanged = false
  readonly #gone = deferred<Error>()
  readonly #listeners = new Set<(news: MigrationNews) => void>()

  constructor(state: GuestState) {
    this.state = state
  }

  /** Its migration gets to `status`, and whoever follows it hears so. */
  become(status: string, error?: string): void {
    if (ENDED.includes(this.status)) return
    this.status = status
    for (const listener of this.#listeners) listener({ status, ...(error === undefined ? {} : { error }) })
  }

  /** Its process ends. */
  die(): void {
    this.#gone.resolve(new Error('killed'))
    this.hangUp()
  }

  /** Closes its connection at once. */
  abstract hangUp(): void

  protected async obey(command: string, work: () => Promise<void> | void = () => {}): Promise<void> {
    this.told.push(command)
    const refusal = this.refuses[command.split(' ')[0]!]
    if (refusal !== undefined) throw refusal
    await work()
  }

  protected side({ undo }: OpenInit): MigrationSide & Pick<OutgoingMigration, 'prepare'> {
    this.isChanged ||= undo !== undefined
    let listener: ((news: MigrationNews) => void) | undefined
    return {
      uid: UID,
      gone: this.#gone.promise,
      describe: async () => this.machine,
      follow: (next) => {
        listener = next
        this.#listeners.add(next)
      },
      progress: async (): Promise<MigrationProgress> => ({
        status: this.status, transferredBytes: 0, remainingBytes: 0, totalBytes: 1000, dirtySyncCount: 1,
        dirtyBytesPerSecond: 0, downtimeMs: 5,
      }),
      state: async () => this.state,
      prepare: ({ onChange }) => this.obey('prepare', async () => {
        await onChange?.(UNDO)
        this.isChanged = true
      }),
      close: async () => {
        if (listener !== undefined) this.#listeners.delete(listener)
        // A post-copy that goes on keeps its settings.
        if (!this.status.startsWith('postcopy')) this.isChanged = false
        return this.isChanged ? UNDO : undefined
      },
    }
  }
}

export interface SourceOptions {
  /** Of the stream: the rest is never written. */
  holdAfter?: number
  /** Instead of completing when the other end has it all. */
  onShut?: (control: FakeSource) => void
  /** Instead of failing when its connection breaks. */
  onCut?: (control: FakeSource) => void
}

/** A guest that writes a stream when told to migrate; it completes when the other end says SHUT. */
export class FakeSource extends FakeGuest {
  /** Bytes that came back over the return path. */
  returned = Buffer.alloc(0)
  /** Does nothing when told to give up. */
  ignoresCancel = false
  /** Hands its disks over: only a broken stream makes it give up. */
  isSwitching = false
  #socket: Socket | undefined
  readonly #stream: Buffer
  readonly #options: SourceOptions

  constructor(stream: Uint8Array, options: SourceOptions) {
    super('running')
    this.#stream = Buffer.from(stream.buffer, stream.byteOffset, stream.byteLength)
    this.#options = options
  }

  get cancelled(): boolean {
    return this.told.includes('cancel')
  }

  open(init: OpenInit): OutgoingMigration {
    return {
      ...this.side(init),
      channels: async () => MAIN_ONLY,
      begin: (path) => this.obey('begin', () => this.#write(path, this.#stream.subarray(0, this.#options.holdAfter))),
      resume: (path) => this.obey('resume', () => this.#write(path, Buffer.from('the rest'))),
      startPostcopy: () => this.obey('startPostcopy'),
      allowPause: () => this.obey('allowPause'),
      cancel: async () => {
        if (CUT.includes(this.status)) return false
        await this.obey('cancel', () => {
          if (this.ignoresCancel || this.isSwitching || this.#socket === undefined) return
          this.become('cancelling')
          this.hangUp()
        })
        return !this.isSwitching
      },
      takeBack: async (runState) => {
        await this.obey(`takeBack ${runState}`)
        this.state = runState
        return runState
      },
    }
  }

  override hangUp(): void {
    this.#socket?.destroy()
  }

  /** The guest is the other end's now. */
  complete(): void {
    this.state = 'postmigrate'
    this.become('completed')
    this.#socket?.end()
  }

  #write(path: string, bytes: Buffer): void {
    const socket = connect(path)
    this.#socket = socket
    this.become('active')
    socket.on('error', () => {})
    socket.on('close', () => {
      if (this.status === 'cancelling') this.become('cancelled')
      else if (this.#options.onCut === undefined) this.become('failed', 'the connection was closed')
      else this.#options.onCut(this)
    })
    socket.on('data', (returned) => {
      this.returned = Buffer.concat([this.returned, returned])
      if (!this.returned.subarray(-SHUT.length).equals(SHUT)) return
      if (this.#options.onShut === undefined) this.complete()
      else this.#options.onShut(this)
    })
    socket.write(bytes)
  }
}

export function sourceGuest(
  name: string, pages: readonly Uint8Array[], stream: Uint8Array, options: SourceOptions = {},
): { guest: Guest; control: FakeSource } {
  const control = new FakeSource(stream, options)
  const guest: Guest = {
    name, memory: memoryOf(name, pages), state: async () => control.state,
    openOutgoing: async (init) => control.open(init),
  }
  return { guest, control }
}

export interface DestinationOptions {
  dieAfter?: number
  /** What came is only counted. */
  discard?: boolean
  /** Instead of failing when its connection breaks before it has everything. */
  onCut?: (control: FakeDestination) => void
}

/** A guest that waits; once it has `expectedBytes` it says SHUT and closes, as QEMU does. */
export class FakeDestination extends FakeGuest {
  receivedBytes = 0
  readonly #pieces: Buffer[] = []
  readonly #expectedBytes: number
  readonly #options: DestinationOptions
  #server: Server | undefined
  #socket: Socket | undefined

  constructor(expectedBytes: number, options: DestinationOptions) {
    super('inmigrate')
    this.#expectedBytes = expectedBytes
    this.#options = options
  }

  /** What came, unless it is discarded. */
  get received(): Buffer {
    return Buffer.concat(this.#pieces)
  }

  /** It was told to end, and did. */
  get hasEnded(): boolean {
    return this.told.includes('end')
  }

  open(init: OpenInit): IncomingMigration {
    const side = this.side(init)
    return {
      ...side,
      check: async () => { if (this.refuses['check'] !== undefined) throw this.refuses['check'] },
      begin: (path) => this.obey('begin', () => this.#listen(path)),
      recover: (path) => this.obey('recover', () => this.#listen(path)),
      release: async (runState) => {
        await this.obey(`release ${runState}`)
        this.state = runState
        return runState
      },
      end: () => this.obey('end', () => this.die()),
      close: () => {
        this.#server?.close()
        return side.close()
      },
    }
  }

  override hangUp(): void {
    this.#socket?.destroy()
  }

  async #listen(path: string): Promise<void> {
    this.#server?.close()
    this.#server = createServer((socket) => this.#take(socket))
    this.#server.listen(path)
    await once(this.#server, 'listening')
  }

  #take(socket: Socket): void {
    this.#socket = socket
    this.become('active')
    socket.on('error', () => {})
    socket.on('close', () => {
      if (this.#options.onCut === undefined) this.become('failed', 'the connection was closed')
      else this.#options.onCut(this)
    })
    socket.on('data', (bytes) => {
      if (this.#options.discard !== true) this.#pieces.push(bytes)
      this.receivedBytes += bytes.length
      if (this.receivedBytes >= (this.#options.dieAfter ?? Infinity)) this.die()
      else if (this.receivedBytes >= this.#expectedBytes) {
        if (this.state === 'inmigrate') this.state = 'paused'
        this.become('completed')
        socket.end(SHUT)
      }
    })
  }
}

export function destinationGuest(
  name: string, expectedBytes: number, options: DestinationOptions = {},
): { guest: Guest; control: FakeDestination } {
  const control = new FakeDestination(expectedBytes, options)
  const guest: Guest = {
    name, memory: memoryOf(name, []), state: async () => control.state,
    openIncoming: async (init) => control.open(init),
  }
  return { guest, control }
}
