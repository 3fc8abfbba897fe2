/**
 * QMP, QEMU's control protocol, as a client.
 *
 * Goals: short connections, since QMP serves one client at a time and others share the socket.
 * Non-goals: reconnecting, which qmpsession.ts does.
 *
 *   agent                         QEMU
 *     connect           ------>
 *                       <------   greeting         (nothing yet while another client is being served)
 *     qmp_capabilities  ------>                    with `oob` if the greeting offers it
 *                       <------   return
 *     command, id n     ------>                    any number, answered by id
 *                       <------   return | error, id n
 *                       <------   event            at any time
 */
import { connectAt } from '../host/longpath.ts'
import { descriptorOf, passDescriptor } from '../page/index.ts'
import { assert } from '../runtime/assert.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { PatientSocket } from './patientsocket.ts'
import { connectionFault, qmpBusy, qmpError, qmpLost, qmpSlow, qmpTimeout } from './qmperror.ts'
import { formatQmpCommand, QmpCutter, type QemuVersion, type QmpMessage } from './qmpline.ts'
import { asText } from './qmpvalue.ts'
import { servesOthers } from './unixsockets.ts'

export interface QmpOptions {
  clock: Clock
  log: Log
  /** Aborts only the connecting, not an open connection. */
  signal?: AbortSignal
  /** How long to wait for the greeting while another client may be served, ms; default 5000. */
  timeoutMs?: number
}

export interface QmpEvent {
  name: string
  data: Record<string, unknown>
}

export interface QmpClient {
  readonly version: QemuVersion
  /**
   * Runs one command; resolves to its return value. Throws PagemeshError `qmp-error` with QEMU's class and description
   * in `data`, `qmp-timeout` after `timeoutMs` (default 10 s), `guest-gone` when the connection is lost.
   */
  execute(command: string, args?: Record<string, unknown>, timeoutMs?: number): Promise<unknown>
  /**
   * As `execute`, for the few commands that QEMU runs out of band. The others may block while the guest waits for
   * memory of a broken post-copy.
   */
  executeOutOfBand(command: string, args: Record<string, unknown>): Promise<unknown>
  /** Gives QEMU a duplicate of descriptor `fd`, for its commands that take one by this name. */
  passDescriptor(name: string, fd: number): Promise<void>
  /** Runs a command of the human monitor; resolves to its text. */
  hmp(commandLine: string): Promise<string>
  /** Calls `listener` for every event from now on, until the returned function is called. */
  onEvent(listener: (event: QmpEvent) => void): () => void
  /** Resolves with the reason when the connection is lost, but not when we close it. */
  readonly lost: Promise<Error>
  close(): Promise<void>
}

const GREETING_TIMEOUT_MS = 5_000
/** How much longer to wait for a QEMU that serves no other client, ms. */
const SLOW_MS = 4_000
const COMMAND_TIMEOUT_MS = 10_000
/** Most commands that await answers at once; more is a programmer's error. */
const PENDING_MAX = 64

/**
 * Connects to the QMP socket at `path` and negotiates capabilities. Throws PagemeshError `guest-gone` if no QEMU
 * listens there, `qmp-busy` if no greeting comes in time, `qmp-forbidden`, `qmp-garbled`.
 */
export async function connectQmp(path: string, options: QmpOptions): Promise<QmpClient> {
  options.signal?.throwIfAborted()
  const connection = new QmpConnection(path, options)
  try {
    await connection.greet(options.timeoutMs ?? GREETING_TIMEOUT_MS, options.signal)
    return connection
  } catch (error) {
    await connection.close()
    throw error
  }
}

interface Pending {
  command: string
  resolve(value: unknown): void
  reject(error: Error): void
  timer: Timer
}

class QmpConnection implements QmpClient {
  version: QemuVersion = { major: 0, minor: 0, micro: 0 }
  readonly lost: Promise<Error>
  readonly #path: string
  readonly #socket: PatientSocket
  readonly #clock: Clock
  readonly #log: Log
  readonly #cutter = new QmpCutter()
  readonly #greeting = Promise.withResolvers<{ version: QemuVersion; offersOutOfBand: boolean }>()
  readonly #pending = new Map<number, Pending>()
  readonly #listeners = new Set<(event: QmpEvent) => void>()
  readonly #closed = Promise.withResolvers<void>()
  #tellLost: (error: Error) => void
  #why: Error | undefined
  #offersOutOfBand = false
  #nextId = 1

  constructor(path: string, { clock, log }: QmpOptions) {
    this.#path = path
    this.#clock = clock
    this.#log = log
    const lost = Promise.withResolvers<Error>()
    this.lost = lost.promise
    this.#tellLost = lost.resolve
    // Avoids an unhandled rejection: the waiting side may not have been reached yet.
    this.#greeting.promise.catch(() => {})
    this.#socket = new PatientSocket()
    connectAt(this.#socket, path)
    this.#socket.on('data', (bytes) => this.#receive(bytes))
    this.#socket.on('error', (error) => this.#break(connectionFault(path, error)))
    this.#socket.on('close', () => {
      this.#break(qmpLost(path))
      this.#closed.resolve()
    })
  }

  async greet(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const abort = (): void => this.#break(abortReason(signal))
    signal?.addEventListener('abort', abort, { once: true })
    let timer = this.#clock.after(timeoutMs, () => {
      if (servesOthers(this.#path)) return this.#break(qmpBusy(this.#path, timeoutMs))
      timer = this.#clock.after(SLOW_MS, () => this.#break(qmpSlow(this.#path, timeoutMs + SLOW_MS)))
    })
    try {
      const { version, offersOutOfBand } = await this.#greeting.promise
      this.version = version
      await this.execute('qmp_capabilities', offersOutOfBand ? { enable: ['oob'] } : {})
      this.#offersOutOfBand = offersOutOfBand
    } finally {
      timer.cancel()
      signal?.removeEventListener('abort', abort)
    }
  }

  execute(command: string, args: Record<string, unknown> = {}, timeoutMs = COMMAND_TIMEOUT_MS): Promise<unknown> {
    return this.#send(command, args, { timeoutMs, outOfBand: false })
  }

  executeOutOfBand(command: string, args: Record<string, unknown>): Promise<unknown> {
    return this.#send(command, args, { timeoutMs: COMMAND_TIMEOUT_MS, outOfBand: this.#offersOutOfBand })
  }

  async passDescriptor(name: string, fd: number): Promise<void> {
    // It comes with a space, which may stand between two commands and not within one.
    await this.#written()
    const over = descriptorOf(this.#socket)
    if (over === undefined) throw this.#why ?? qmpLost(this.#path)
    passDescriptor(over, fd)
    await this.execute('getfd', { fdname: name })
  }

  async hmp(commandLine: string): Promise<string> {
    return asText(await this.execute('human-monitor-command', { 'command-line': commandLine }))
  }

  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    // Our own close is no loss of the connection.
    this.#tellLost = () => {}
    this.#break(qmpLost(this.#path))
    await this.#closed.promise
  }

  #send(
    command: string, args: Record<string, unknown>, { timeoutMs, outOfBand }: { timeoutMs: number; outOfBand: boolean },
  ): Promise<unknown> {
    assert(this.#pending.size < PENDING_MAX, 'QMP commands pile up')
    if (this.#why !== undefined) return Promise.reject(this.#why)
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(timeoutMs, () => {
        this.#pending.delete(id)
        reject(qmpTimeout(this.#path, command, timeoutMs))
      })
      this.#pending.set(id, { command, resolve, reject, timer })
      this.#socket.write(formatQmpCommand(id, command, args, outOfBand))
    })
  }

  /** Resolves when the system has taken all commands. */
  async #written(): Promise<void> {
    while (this.#socket.writableLength > 0) {
      await new Promise<void>((resolve) => this.#socket.write('\n', () => resolve()))
    }
  }

  #receive(bytes: Buffer): void {
    try {
      for (const message of this.#cutter.push(bytes)) this.#dispatch(message)
    } catch (error) {
      this.#break(error as Error)
    }
  }

  #dispatch(message: QmpMessage): void {
    switch (message.kind) {
      case 'greeting':
        this.#greeting.resolve(message)
        return
      case 'event':
        for (const listener of this.#listeners) listener({ name: message.name, data: message.data })
        return
      case 'return':
        this.#take(message.id)?.resolve(message.value)
        return
      case 'error': {
        const pending = this.#take(message.id)
        pending?.reject(qmpError(this.#path, pending.command, message.errorClass, message.description))
      }
    }
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id)
    if (pending === undefined) this.#log.debug('QMP sent an answer that is not awaited', { path: this.#path, id })
    this.#pending.delete(id)
    pending?.timer.cancel()
    return pending
  }

  /** Ends the connection; all pending commands fail with the first reason. */
  #break(why: Error): void {
    if (this.#why !== undefined) return
    this.#why = why
    this.#socket.destroy()
    this.#greeting.reject(why)
    for (const pending of this.#pending.values()) {
      pending.timer.cancel()
      pending.reject(why)
    }
    this.#pending.clear()
    this.#tellLost(why)
  }
}

function abortReason(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason
  if (reason instanceof Error) return reason
  return new PagemeshError('cancelled', 'Talking to the guest was cancelled.', { fault: 'cancelled' })
}
