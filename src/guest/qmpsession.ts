import type { Clock, Timer } from '../runtime/clock.ts'
import { describeError, PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { deferred, withTimeout, type Deferred } from '../runtime/wait.ts'
import type { QmpClient, QmpEvent } from './qmp.ts'
import { qmpInterrupted, qmpTimeout, qmpLost } from './qmperror.ts'
import type { QemuVersion } from './qmpline.ts'
import { asText } from './qmpvalue.ts'

/** QMP for as long as the guest's process lives: a connection that is lost is opened again. */
export interface QmpSession {
  readonly version: QemuVersion
  /**
   * As QmpClient's, and waits for the connection where there is none, `timeoutMs` at most in all. A command whose
   * connection is lost before its answer is said again if that does no harm; else it throws `qmp-interrupted`.
   */
  execute(command: string, args?: Record<string, unknown>, timeoutMs?: number): Promise<unknown>
  /** As QmpClient's, never said twice. */
  executeOutOfBand(command: string, args: Record<string, unknown>): Promise<unknown>
  hmp(commandLine: string): Promise<string>
  onEvent(listener: (event: QmpEvent) => void): void
  /** Calls `listener` when the connection was opened again: events may have been missed. */
  onReopened(listener: () => void): void
  /**
   * Resolves when the process has ended, after everything that it said. `data.wasHeard` of the PagemeshError: it was
   * connected to the end; false if it may have said something that nobody heard.
   */
  readonly gone: Promise<Error>
  close(): Promise<void>
}

export interface QmpSessionInit {
  path: string
  first: QmpClient
  /** Connects again; throws what connectQmp throws. */
  connect(): Promise<QmpClient>
  /** Whether the guest's process, and no later one of its number, lives. */
  isAlive(): boolean
}

const COMMAND_TIMEOUT_MS = 10_000
const ALIVE_EVERY_MS = 100
/** A process whose connection was lost as it ended is seen to be dead within this time. */
const HEARD_MS_MAX = 1000
/** Rest between two tries to connect: doubled up to the second. */
const RETRY_MIN_MS = 50
const RETRY_MAX_MS = 1_000

/** Said twice, these do what they do said once. */
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
  /** Settled when there is a client again, or never will be. */
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
        // Whether it was heard is not known: only the command itself tells whether that matters.
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
    // Resolves with why, and never rejects.
    void client.lost.then(() => this.#lose(client))
  }

  #lose(client: QmpClient): void {
    if (this.#client !== client || this.#isOver) return
    this.#client = undefined
    this.#lostAt = this.#clock.now()
    this.#reopening = deferred()
    const watch = this.#clock.every(ALIVE_EVERY_MS, () => this.#endIfDead(watch))
    this.#endIfDead(watch)
    // Ends when connected, closed or gone, and catches what connecting throws.
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
