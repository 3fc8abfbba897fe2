import type { Log } from '../runtime/log.ts'
import type { MigrationNews } from './migration.ts'
import type { QmpSession } from './qmpsession.ts'
import { asText } from './qmpvalue.ts'
import { queryMigration } from './status.ts'

/**
 * Reports each new status of a guest's migration, in order and none twice in a row. QEMU emits them as events if the
 * capability `events` is on; after a lost connection the status is queried.
 */
export class StatusFollower {
  readonly #qmp: QmpSession
  readonly #log: Log
  readonly #listeners: ((news: MigrationNews) => void)[] = []
  /** Resolves when all reports so far are delivered, in order. */
  #telling: Promise<void> = Promise.resolve()
  #last: string | undefined
  #wasInterrupted = false

  constructor({ qmp, log }: { qmp: QmpSession; log: Log }) {
    this.#qmp = qmp
    this.#log = log
    qmp.onEvent((event) => {
      if (event.name === 'MIGRATION') this.#queue(() => this.#hear(asText(event.data['status'])))
    })
    qmp.onReopened(() => {
      this.#wasInterrupted = true
      this.#queue(() => this.#ask())
    })
  }

  /** The last status reported or learnt; undefined if there is none. */
  get last(): string | undefined {
    return this.#last
  }

  /** Whether the connection was ever lost, so that events may have been missed. */
  get wasInterrupted(): boolean {
    return this.#wasInterrupted
  }

  follow(listener: (news: MigrationNews) => void): void {
    this.#listeners.push(listener)
  }

  /** Records the present status as known, so that the end of an earlier migration is no news. */
  async learn(): Promise<void> {
    this.#last = (await queryMigration(this.#qmp)).status
  }

  /** Runs `begin`, which starts a migration; from then on a status is news even if it equals the last one. */
  async expect(begin: () => Promise<unknown>): Promise<void> {
    await this.learn()
    const before = this.#last
    await begin()
    if (this.#last === before) this.#last = undefined
  }

  /** Resolves when all statuses received so far were reported. */
  async told(): Promise<void> {
    await this.#telling
  }

  #queue(work: () => Promise<void>): void {
    this.#telling = this.#telling.then(work).catch((error: unknown) => {
      this.#log.debug('a guest could not be asked about its migration', { error: String(error) })
    })
  }

  async #hear(status: string): Promise<void> {
    if (status !== 'failed') return this.#tell({ status })
    // The event has no error text. If QEMU has ended meanwhile, there is none.
    const error = await queryMigration(this.#qmp).then((progress) => progress.error, () => undefined)
    this.#tell(error === undefined ? { status } : { status, error })
  }

  async #ask(): Promise<void> {
    const { status, error } = await queryMigration(this.#qmp)
    if (status !== 'none') this.#tell(error === undefined ? { status } : { status, error })
  }

  #tell(news: MigrationNews): void {
    if (news.status === this.#last) return
    this.#last = news.status
    for (const listener of this.#listeners) listener(news)
  }
}
