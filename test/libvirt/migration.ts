/** A migration of the guest that is slow enough to act on it. */
import { strict as assert } from 'node:assert'

import { systemClock } from '../../src/index.ts'
import { OTHER, type HostName, type LibvirtLab } from './lab.ts'
import { SLOW, type WayName } from './ways.ts'

/** How long libvirt may take to report what it can know, ms. */
const WORD_MS_MAX = 5000
/** Its post-copy is slow. The pages that the guest needs to run have passed before. */
const POSTCOPY = ['--postcopy', '--postcopy-bandwidth', '1', '--bandwidth', '8'] as const
const PRECOPY_BYTES = 50 * 2 ** 20

export class SlowMigration {
  readonly lab: LibvirtLab
  readonly from: HostName
  readonly to: HostName
  readonly #over = new AbortController()
  /** Libvirt's result: the error, or undefined. Never rejects. */
  readonly #word: Promise<Error | undefined>

  private constructor(lab: LibvirtLab, from: HostName, words: readonly string[]) {
    this.lab = lab
    this.from = from
    this.to = OTHER[from]
    this.#word = lab.host(from).virsh(...words).then(() => undefined, (error: Error) => error)
      .finally(() => this.#over.abort(new Error('the migration is over')))
  }

  /** Resolves when pages pass, in a post-copy when its guest runs at the destination. */
  static async begin(lab: LibvirtLab, way: WayName, { postcopy = false } = {}): Promise<SlowMigration> {
    const from = await lab.whereIsWeb()
    await lab.settled(from)
    const words = await lab.words(from, way, { virsh: postcopy ? POSTCOPY : SLOW })
    const migration = new SlowMigration(lab, from, words)
    if (!postcopy) await migration.#arriving()
    else {
      await lab.goPostcopy(from, migration.#over.signal, PRECOPY_BYTES)
      await lab.until('the guest to run at the destination', async () =>
        /running \(post-copy\)/.test(await lab.host(migration.to).virsh('domstate', '--reason', 'web')))
    }
    return migration
  }

  /** Resolves when some of it has reached the destination: QEMU counts what a busy agent has not read yet. */
  async #arriving(): Promise<void> {
    const { lab, to } = this
    await lab.until('pages to reach the destination', async () => {
      this.#over.signal.throwIfAborted()
      const { handoffs } = await lab.status(to)
      return handoffs.some((handoff) => 'streamBytes' in handoff && handoff.streamBytes > 0)
    })
  }

  /** Removes its rate limit. */
  async hurry(): Promise<void> {
    await this.lab.host(this.from).virsh('migrate-setspeed', 'web', '10000')
  }

  /** Resolves when libvirt reports completion. */
  async completed(): Promise<void> {
    const error = await this.#word
    if (error !== undefined) throw error
  }

  /**
   * Libvirt's error. Rejects if libvirt reports it more than five seconds after it can be known: `afterMs` from now.
   */
  async failed(afterMs = 0): Promise<string> {
    const since = systemClock.now()
    const error = await this.#word
    const took = systemClock.now() - since
    assert.ok(error !== undefined, 'it completed')
    assert.ok(took <= afterMs + WORD_MS_MAX, `libvirt said so after ${took} ms: ${error.message}`)
    return error.message
  }

  /** Resolves when the guest runs on at the source, with nothing of it left elsewhere. */
  async wentNowhere(): Promise<void> {
    const { lab, from, to } = this
    assert.equal(await lab.whereIsWeb(), from)
    await lab.host(from).guest('web').moreBeats(1)
    // It may be defined there if it came from there.
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
