import { PagemeshError } from '../runtime/errors.ts'
import { connectQmp, type QmpClient, type QmpOptions } from './qmp.ts'

/** How long a short visit waits for its turn, ms: others that share the socket mostly make short visits as well. */
const VISIT_TIMEOUT_MS = 1_000
/** How long a session waits for its turn, ms. */
const SESSION_TIMEOUT_MS = 5_000

/**
 * One guest's QMP socket, shared with its operator: visited for as long as a question takes, and held only
 * while a migration runs. Visits during a session go over the session's connection, since QMP serves one client.
 */
export class GuestControl {
  readonly path: string
  readonly #options: Pick<QmpOptions, 'clock' | 'log'>
  #session: QmpClient | undefined

  constructor(path: string, options: Pick<QmpOptions, 'clock' | 'log'>) {
    this.path = path
    this.#options = options
  }

  /** Whether a session is open. */
  get held(): boolean {
    return this.#session !== undefined
  }

  /** Connects, lets `ask` ask, and hangs up. Throws what connectQmp throws. */
  async visit<Answer>(ask: (qmp: QmpClient) => Promise<Answer>, signal?: AbortSignal): Promise<Answer> {
    if (this.#session !== undefined) return ask(this.#session)
    const qmp = await connectQmp(this.path, {
      ...this.#options, timeoutMs: VISIT_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }),
    })
    try {
      return await ask(qmp)
    } finally {
      await qmp.close()
    }
  }

  /** Holds the socket until the returned client is closed or lost. Throws `guest-busy` if it is held by us already. */
  async hold(signal: AbortSignal): Promise<QmpClient> {
    if (this.#session !== undefined) throw this.#busy()
    const qmp = await connectQmp(this.path, { ...this.#options, timeoutMs: SESSION_TIMEOUT_MS, signal })
    const release = (): void => {
      if (this.#session === session) this.#session = undefined
    }
    const session: QmpClient = {
      version: qmp.version,
      lost: qmp.lost,
      execute: (...words) => qmp.execute(...words),
      hmp: (commandLine) => qmp.hmp(commandLine),
      onEvent: (listener) => qmp.onEvent(listener),
      close: () => {
        release()
        return qmp.close()
      },
    }
    this.#session = session
    void qmp.lost.then(release)
    return session
  }

  #busy(): PagemeshError {
    return new PagemeshError('guest-busy', 'The guest is being migrated already.', {
      fault: 'usage', advice: 'Wait for that migration, or cancel it.', data: { path: this.path },
    })
  }
}
