/** A migration of the guest that goes so slowly that something can be done to it. */
import { strict as assert } from 'node:assert'

import { systemClock } from '../../src/index.ts'
import { OTHER, type HostName, type LibvirtLab } from './lab.ts'
import { SLOW, type WayName } from './ways.ts'

/** How long libvirt may take to say what it can know. */
const WORD_MS_MAX = 5000
/** Its post-copy is slow. What it takes for a guest to run has passed before, and then some. */
const POSTCOPY = ['--postcopy', '--postcopy-bandwidth', '1', '--bandwidth', '8'] as const
const PRECOPY_BYTES = 50 * 2 ** 20
/** QEMU counts what it has written to the agent's socket: of so many bytes some have gone on. */
const SOME_BYTES = 2 ** 18

export class SlowMigration {
  readonly lab: LibvirtLab
  readonly from: HostName
  readonly to: HostName
  readonly #over = new AbortController()
  /** What it was told in the end: why it failed, or undefined. Never rejects. */
  readonly #word: Promise<Error | undefined>

  private constructor(lab: LibvirtLab, from: HostName, words: readonly string[]) {
    this.lab = lab
    this.from = from
    this.to = OTHER[from]
    this.#word = lab.host(from).virsh(...words).then(() => undefined, (error: Error) => error)
      .finally(() => this.#over.abort(new Error('the migration is over')))
  }

  /** Resolves when pages pass, and those of a post-copy where its guest runs at the destination. */
  static async begin(lab: LibvirtLab, way: WayName, { postcopy = false } = {}): Promise<SlowMigration> {
    const from = await lab.whereIsWeb()
    await lab.settled(from)
    const words = await lab.words(from, way, { virsh: postcopy ? POSTCOPY : SLOW })
    const migration = new SlowMigration(lab, from, words)
    if (!postcopy) await lab.passed(from, migration.#over.signal, SOME_BYTES)
    else {
      await lab.goPostcopy(from, migration.#over.signal, PRECOPY_BYTES)
      await lab.until('the guest to run at the destination', async () =>
        /running \(post-copy\)/.test(await lab.host(migration.to).virsh('domstate', '--reason', 'web')))
    }
    return migration
  }

  /** Lets it go as fast as it can. */
  async hurry(): Promise<void> {
    await this.lab.host(this.from).virsh('migrate-setspeed', 'web', '10000')
  }

  /** Resolves when libvirt says that it has completed. */
  async completed(): Promise<void> {
    const error = await this.#word
    if (error !== undefined) throw error
  }

  /**
   * Libvirt's own word that it has failed. Rejects if it takes libvirt more than five seconds from when that can be
   * known: `afterMs` from now.
   */
  async failed(afterMs = 0): Promise<string> {
    const since = systemClock.now()
    const error = await this.#word
    const took = systemClock.now() - since
    assert.ok(error !== undefined, 'it completed')
    assert.ok(took <= afterMs + WORD_MS_MAX, `libvirt said so after ${took} ms: ${error.message}`)
    return error.message
  }

  /** Resolves when the guest is seen to run on at the source, with nothing of it left elsewhere. */
  async wentNowhere(): Promise<void> {
    const { lab, from, to } = this
    assert.equal(await lab.whereIsWeb(), from)
    await lab.host(from).guest('web').moreBeats(1)
    // It may be defined there, from where it came.
    assert.deepEqual((await lab.host(to).known()).filter((name) => name !== 'web'), [`twin-${to}`])
    await lab.until('the destination QEMU to be gone', async () => await lab.host(to).qemuOf('web') === undefined)
    for (const name of [from, to]) {
      await lab.until(`the agent of ${name} to have no migration`, async () => {
        if (!lab.cluster.agent(name).running) return true
        const { handoffs, held } = await lab.status(name)
        assert.deepEqual(held, [])
        return handoffs.length === 0
      })
    }
  }
}
