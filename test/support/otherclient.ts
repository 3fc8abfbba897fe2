import { connect, type Socket } from 'node:net'

import { systemClock } from '../../src/runtime/clock.ts'
import { waitFor } from '../../testnet/index.ts'

/** A QEMU event with QEMU's own time, so that events of two QEMUs on one machine can be ordered. */
export interface DatedEvent {
  name: string
  data: Record<string, unknown>
  /** Milliseconds since 1970. */
  atMs: number
}

interface Message {
  QMP?: unknown
  event?: string
  data?: Record<string, unknown>
  timestamp?: { seconds: number; microseconds: number }
  id?: number
  return?: unknown
  error?: { desc: string }
}

const CONNECT_TIMEOUT_MS = 20_000
const COMMAND_TIMEOUT_MS = 10_000

/**
 * A client of QEMU other than the agent: an operator's script, or a manager. It has its own QMP socket and none of
 * Pagemesh's code, so that it sees the truth independently.
 */
export class OtherClient {
  /** Resolves when QEMU hung up: its process ends. */
  readonly gone: Promise<void>
  readonly #socket: Socket
  readonly #listeners = new Set<(event: DatedEvent) => void>()
  readonly #pending = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  #text = ''
  #lastId = 0
  #isOpen = true

  /** Resolves when QEMU takes commands. */
  static async connect(path: string): Promise<OtherClient> {
    const socket = await waitFor(() => new Promise<Socket | undefined>((resolve) => {
      const attempt = connect(path, () => resolve(attempt))
      // Nothing listens yet.
      attempt.once('error', () => resolve(undefined))
    }), { clock: systemClock, what: `QEMU to listen on ${path}`, timeoutMs: CONNECT_TIMEOUT_MS, pauseMs: 10 })
    const client = new OtherClient(socket)
    await client.execute('qmp_capabilities')
    return client
  }

  private constructor(socket: Socket) {
    this.#socket = socket
    this.gone = new Promise((resolve) => socket.once('close', () => {
      this.#isOpen = false
      for (const { reject } of this.#pending.values()) reject(new Error('QEMU hung up'))
      this.#pending.clear()
      resolve()
    }))
    // `close` follows and is handled.
    socket.on('error', () => {})
    socket.on('data', (bytes: Buffer) => this.#take(bytes.toString()))
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  onEvent(listener: (event: DatedEvent) => void): void {
    this.#listeners.add(listener)
  }

  /** Rejects with QEMU's error, when it hangs up, or after ten seconds. */
  async execute(command: string, args: Record<string, unknown> = {}): Promise<unknown> {
    if (!this.#isOpen) throw new Error('QEMU hung up')
    const id = ++this.#lastId
    const answer = new Promise<unknown>((resolve, reject) => this.#pending.set(id, { resolve, reject }))
    this.#socket.write(JSON.stringify({ execute: command, arguments: args, id }))
    const timer = setTimeout(() => {
      this.#pending.get(id)?.reject(new Error(`QEMU did not answer ${command} within ${COMMAND_TIMEOUT_MS / 1000} s`))
    }, COMMAND_TIMEOUT_MS)
    return await answer.finally(() => {
      clearTimeout(timer)
      this.#pending.delete(id)
    })
  }

  /** The guest's run state: running, paused, postmigrate, ...; `gone` when the process ended. */
  async state(): Promise<string> {
    try {
      return (await this.execute('query-status') as { status: string }).status
    } catch (error) {
      if (!this.#isOpen) return 'gone'
      throw error
    }
  }

  close(): void {
    this.#socket.destroy()
  }

  #take(text: string): void {
    const lines = (this.#text + text).split('\n')
    this.#text = lines.pop() ?? ''
    for (const line of lines) this.#handle(JSON.parse(line) as Message)
  }

  #handle({ event, data = {}, timestamp, id, return: value, error }: Message): void {
    if (event !== undefined && timestamp !== undefined) {
      const dated = { name: event, data, atMs: timestamp.seconds * 1000 + timestamp.microseconds / 1000 }
      for (const listener of this.#listeners) listener(dated)
    }
    const pending = id === undefined ? undefined : this.#pending.get(id)
    if (error === undefined) pending?.resolve(value)
    else pending?.reject(new Error(error.desc))
  }
}
