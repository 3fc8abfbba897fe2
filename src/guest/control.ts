import { PagemeshError } from '../runtime/errors.ts'
import { connectQmp, type QmpClient, type QmpOptions } from './qmp.ts'
import { isBusy } from './qmperror.ts'
import { createQmpSession, type QmpSession } from './qmpsession.ts'
import type { QmpAsker } from './status.ts'

/** How long a short visit waits for its turn, ms: other clients mostly make short visits as well. */
const VISIT_TIMEOUT_MS = 1_000
/** How long a session waits for its turn, ms. */
const SESSION_TIMEOUT_MS = 5_000

/**
 * One guest's QMP socket, shared with its operator: connected only for a short visit, or for a session while a
 * migration runs. Visits during a session use the session's connection, since QMP serves one client at a time.
 */
export class GuestControl {
  readonly path: string
  /** Further QMP sockets of the same QEMU, for when another client holds the first. */
  readonly #others = new Set<string>()
  readonly #options: Pick<QmpOptions, 'clock' | 'log'>
  #session: QmpSession | undefined
  #isOpening = false

  constructor(path: string, options: Pick<QmpOptions, 'clock' | 'log'>) {
    this.path = path
    this.#options = options
  }

  addPath(path: string): void {
    this.#others.add(path)
  }

  removePath(path: string): void {
    this.#others.delete(path)
  }

  /** Whether a session is open. */
  get held(): boolean {
    return this.#session !== undefined
  }

  /** Connects, runs `ask`, and hangs up. Throws the errors of connectQmp. */
  async visit<Answer>(ask: (qmp: QmpAsker) => Promise<Answer>, signal?: AbortSignal): Promise<Answer> {
    if (this.#session !== undefined) return ask(this.#session)
    const qmp = await this.#connect({ timeoutMs: VISIT_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) })
    try {
      return await ask(qmp)
    } finally {
      await qmp.close()
    }
  }

  /**
   * Holds the socket until the returned session is closed or `isAlive` says that the guest's process has ended. The
   * signal aborts only the opening. Throws `guest-busy` if we hold it already.
   */
  async hold({ signal, isAlive }: { signal: AbortSignal; isAlive: () => boolean }): Promise<QmpSession> {
    if (this.#session !== undefined || this.#isOpening) throw this.#busy()
    this.#isOpening = true
    try {
      const connect = (): Promise<QmpClient> => this.#connect({ timeoutMs: SESSION_TIMEOUT_MS })
      const first = await this.#connect({ timeoutMs: SESSION_TIMEOUT_MS, signal })
      const session = createQmpSession(this.#options, { path: this.path, first, connect, isAlive })
      this.#session = session
      // Resolves when the process has ended, and never rejects.
      void session.gone.then(() => this.#release(session))
      return { ...facetsOf(session), close: () => this.#close(session) }
    } finally {
      this.#isOpening = false
    }
  }

  /** Connects to the first socket that nobody else holds. Throws the error of the last. */
  async #connect(how: Pick<QmpOptions, 'timeoutMs' | 'signal'>): Promise<QmpClient> {
    const options = { ...this.#options, ...how }
    const paths = [this.path, ...this.#others]
    const last = paths.pop()!
    for (const path of paths) {
      try {
        return await connectQmp(path, options)
      } catch (error) {
        if (!isBusy(error)) throw error
      }
    }
    return connectQmp(last, options)
  }

  async #close(session: QmpSession): Promise<void> {
    this.#release(session)
    await session.close()
  }

  #release(session: QmpSession): void {
    if (this.#session === session) this.#session = undefined
  }

  #busy(): PagemeshError {
    return new PagemeshError('guest-busy', 'The guest is being migrated already.', {
      fault: 'usage', advice: 'Wait for that migration, or cancel it.', data: { path: this.path },
    })
  }
}

/** A session without `close`. */
function facetsOf(session: QmpSession): Omit<QmpSession, 'close'> {
  return {
    version: session.version,
    gone: session.gone,
    execute: (...words) => session.execute(...words),
    executeOutOfBand: (command, args) => session.executeOutOfBand(command, args),
    passDescriptor: (name, fd) => session.passDescriptor(name, fd),
    hmp: (commandLine) => session.hmp(commandLine),
    onEvent: (listener) => session.onEvent(listener),
    onReopened: (listener) => session.onReopened(listener),
  }
}
