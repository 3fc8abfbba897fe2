import type { Log } from '../runtime/log.ts'
import type { MigrationNews } from './migration.ts'
import type { QmpSession } from './qmpsession.ts'
import { asText } from './qmpvalue.ts'
import { queryMigration } from './status.ts'

/**
 * Tells each new status of a guest's migration, in order and none twice in a row. QEMU says them as events, if the
 * capability `events` is on; what was said while the connection was lost is found by asking afterwards.
 */
export class StatusFollower {
  readonly #qmp: QmpSession
  readonly #log: Log
  readonly #listeners: ((news: MigrationNews) => void)[] = []
  /** Everything that is still to be told, in order. */
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

  /** The status that was told last, or learnt; undefined where none was. */
  get last(): string | undefined {
    return this.#last
  }

  /** The connection was lost at some time: something may have been said that nobody heard. */
  get wasInterrupted(): boolean {
    return this.#wasInterrupted
  }

  follow(listener: (news: MigrationNews) => void): void {
    this.#listeners.push(listener)
  }

  /** Takes how things stand now for known, so that the end of an earlier migration is no news. */
  async learn(): Promise<void> {
    this.#last = (await queryMigration(this.#qmp)).status
  }

  /** Lets `begin` begin a migration; from then on a status is news although the one before it ended alike. */
  async expect(begin: () => Promise<unknown>): Promise<void> {
    await this.learn()
    const before = this.#last
    await begin()
    if (this.#last === before) this.#last = undefined
  }

  /** Resolves when everything that was heard so far was told. */
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
    // The event does not say why; a QEMU that has ended since cannot be asked.
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
