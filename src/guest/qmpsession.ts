import type { Clock, Timer } from '../runtime/clock.ts'
import { describeError, PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { deferred, withTimeout, type Deferred } from '../runtime/wait.ts'
import type { QmpClient, QmpEvent } from './qmp.ts'
import { qmpInterrupted, qmpLost, qmpTimeout } from './qmperror.ts'
import type { QemuVersion } from './qmpline.ts'
import { asText } from './qmpvalue.ts'

/** QMP for as long as the guest's process lives: a lost connection is opened again. */
export interface QmpSession {
  readonly version: QemuVersion
  /**
   * As QmpClient's, but waits for the connection if it is lost, `timeoutMs` at most in all. If the connection is lost
   * before the answer, a repeatable command is sent again; any other throws `qmp-interrupted`.
   */
  execute(command: string, args?: Record<string, unknown>, timeoutMs?: number): Promise<unknown>
  /** As QmpClient's; never sent twice. */
  executeOutOfBand(command: string, args: Record<string, unknown>): Promise<unknown>
  /** As QmpClient's; never passed twice. */
  passDescriptor(name: string, fd: number): Promise<void>
  hmp(commandLine: string): Promise<string>
  onEvent(listener: (event: QmpEvent) => void): void
  /** Calls `listener` when the connection was opened again, since events may have been missed. */
  onReopened(listener: () => void): void
  /**
   * Resolves when the process has ended, after all its messages. `data.wasHeard` of the PagemeshError: whether QMP was
   * connected until then, so that no message was missed.
   */
  readonly gone: Promise<Error>
  close(): Promise<void>
}

export interface QmpSessionInit {
  path: string
  first: QmpClient
  /** Connects again; throws the errors of connectQmp. */
  connect(): Promise<QmpClient>
  /** Whether the guest's process lives, not a later one with its pid. */
  isAlive(): boolean
}

const COMMAND_TIMEOUT_MS = 10_000
const ALIVE_EVERY_MS = 100
/** If a process ends with its connection, it is seen to be dead within this time. */
const HEARD_MS_MAX = 1000
/** Interval between two tries to connect, doubled up to the second value. */
const RETRY_MIN_MS = 50
const RETRY_MAX_MS = 1_000

/** Idempotent commands. */
const REPEATABLE = new Set([
  'human-monitor-command', 'cont', 'stop', 'migrate_cancel', 'migrate-set-capabilities', 'migrate-set-parameters',
  'migrate-start-postcopy', 'qom-get',
])

export function createQmpSession(components: { clock: Clock; log: Log }, init: QmpSessionInit): QmpSession {
  return new LastingQmp(components, init)
}

class LastingQmp implements QmpSession {
  readonly version: QemuVersion
  readonly gone: Promise<Error>
  readonly #clock: Clock
  readonly #log: Log
  readonly #init: QmpSessionInit
  readonly #going = deferred<Error>()
  readonly #eventListeners: ((event: QmpEvent) => void)[] = []
  readonly #reopenListeners: (() => void)[] = []
  #client: QmpClient | undefined
  /** Settles when there is a client again, or never will be. */
  #reopening: Deferred<void> | undefined
  #isOver = false
  #lostAt = 0

  constructor({ clock, log }: { clock: Clock; log: Log }, init: QmpSessionInit) {
    this.version = init.first.version
    this.gone = this.#going.promise
    this.#clock = clock
    this.#log = log
    this.#init = init
    this.#adopt(init.first)
  }

  async execute(
    command: string, args: Record<string, unknown> = {}, timeoutMs = COMMAND_TIMEOUT_MS,
  ): Promise<unknown> {
    const deadline = this.#clock.now() + timeoutMs
    for (;;) {
      const leftMs = deadline - this.#clock.now()
      if (leftMs <= 0) throw qmpTimeout(this.#init.path, command, timeoutMs)
      const client = await this.#connected(command, leftMs)
      try {
        return await client.execute(command, args, Math.max(1, deadline - this.#clock.now()))
      } catch (error) {
        if (!(error instanceof PagemeshError) || error.code === 'qmp-error' || error.code === 'qmp-timeout') throw error
        // QEMU may have run the command: only an idempotent one may be repeated.
        if (this.#isOver || !this.#init.isAlive()) throw error
        if (!isRepeatable(command)) throw qmpInterrupted(this.#init.path, command, error)
        this.#lose(client)
      }
    }
  }

  async executeOutOfBand(command: string, args: Record<string, unknown>): Promise<unknown> {
    const client = await this.#connected(command, COMMAND_TIMEOUT_MS)
    return client.executeOutOfBand(command, args)
  }

  async passDescriptor(name: string, fd: number): Promise<void> {
    const client = await this.#connected('getfd', COMMAND_TIMEOUT_MS)
    await client.passDescriptor(name, fd)
  }

  async hmp(commandLine: string): Promise<string> {
    return asText(await this.execute('human-monitor-command', { 'command-line': commandLine }))
  }

  onEvent(listener: (event: QmpEvent) => void): void {
    this.#eventListeners.push(listener)
  }

  onReopened(listener: () => void): void {
    this.#reopenListeners.push(listener)
  }

  async close(): Promise<void> {
    this.#isOver = true
    this.#reopening?.reject(qmpLost(this.#init.path))
    await this.#client?.close()
    this.#client = undefined
  }

  async #connected(command: string, limitMs: number): Promise<QmpClient> {
    if (this.#isOver) throw qmpLost(this.#init.path)
    if (this.#client !== undefined) return this.#client
    await withTimeout(this.#clock, this.#reopening!.promise, limitMs, {
      phase: 'talking to the guest', fault: 'guest',
      message: `The guest's QMP connection was lost and could not be opened again in time for ${command}.`,
      advice: 'QMP serves one client at a time: close the other one, or give the guest a second -qmp socket.',
    })
    return this.#connected(command, limitMs)
  }

  #adopt(client: QmpClient): void {
    this.#client = client
    client.onEvent((event) => {
      for (const listener of this.#eventListeners) listener(event)
    })
    // Never rejects.
    void client.lost.then(() => this.#lose(client))
  }

  #lose(client: QmpClient): void {
    if (this.#client !== client || this.#isOver) return
    this.#client = undefined
    this.#lostAt = this.#clock.now()
    this.#reopening = deferred()
    const watch = this.#clock.every(ALIVE_EVERY_MS, () => this.#endIfDead(watch))
    this.#endIfDead(watch)
    // Ends when connected, closed or gone, and catches connection errors.
    if (!this.#isOver) void this.#reopen(watch)
  }

  #endIfDead(watch: Timer): void {
    if (this.#isOver) watch.cancel()
    if (this.#isOver || this.#init.isAlive()) return
    watch.cancel()
    this.#isOver = true
    const gone = new PagemeshError('guest-gone', 'The guest\'s process has ended.', {
      fault: 'guest', data: { path: this.#init.path, wasHeard: this.#clock.now() - this.#lostAt < HEARD_MS_MAX },
    })
    this.#reopening?.reject(gone)
    this.#going.resolve(gone)
  }

  async #reopen(watch: Timer): Promise<void> {
    let restMs = RETRY_MIN_MS
    while (!this.#isOver) {
      try {
        const client = await this.#init.connect()
        watch.cancel()
        if (this.#isOver) return await client.close()
        this.#adopt(client)
        this.#log.info('the QMP connection of a guest was opened again', { path: this.#init.path })
        this.#reopening!.resolve()
        for (const listener of this.#reopenListeners) listener()
        return
      } catch (error) {
        this.#log.debug('a guest cannot be reached', { path: this.#init.path, error: describeError(error) })
      }
      await this.#clock.sleep(restMs)
      restMs = Math.min(RETRY_MAX_MS, restMs * 2)
    }
  }
}

function isRepeatable(command: string): boolean {
  return command.startsWith('query-') || REPEATABLE.has(command)
}
