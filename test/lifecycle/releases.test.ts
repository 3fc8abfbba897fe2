import assert from 'node:assert/strict'

import { ensureQemu, migratePlain, type QemuRelease } from '../../testnet/index.ts'
import { expectExactCounts, majorOf, moveAnyhow, skipWithoutLab } from '../support/labmove.ts'
import { journey, type JourneyEnds } from './journey.ts'

const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 120_000
const GUEST = { name: 'traveller', system: 'busybox', work: 'random', memoryMiB: 128 } as const
/** Slow enough that pre-copy is not over before post-copy is requested. */
const LINK_BYTES_PER_SECOND = 50e6
const MODES = ['precopy', 'postcopy'] as const
/** The steps of a journey: every change between releases, ending where it began. */
const JOURNEY: readonly (readonly [from: QemuRelease, to: QemuRelease])[] = [
  ['system', 'system'], ['system', 'next'], ['next', 'next'], ['next', 'system'],
]

/** Moves the guest from host to host, and checks it in between. */
type Mover = (ends: JourneyEnds, mode: typeof MODES[number]) => Promise<void>

const WAYS: Record<string, Mover> = {
  'QEMU alone': async ({ cluster: { network }, source, destination }, mode) => {
    await migratePlain({ source, destination, network, mode, passesBeforePostcopy: 0 })
  },
  'two agents': async ({ cluster, from, to, source }, mode) => {
    const result = await moveAnyhow(cluster, { guest: source, from, to, mode })
    assert.deepEqual([result.mode, result.arrivedState, result.downtimeMs], [mode, 'paused', null])
    await expectExactCounts(result, source)
  },
}

/** One machine type, pc-i440fx-7.2, which both QEMUs have. */
describe('a guest between this system\'s QEMU and that of the next release', function () {
  this.timeout(TEST_TIMEOUT_MS)

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    console.log(`      the next release's: ${await ensureQemu('next')}`)
  })

  for (const [way, travel] of Object.entries(WAYS)) {
    describe(`is moved by ${way}`, () => {
      const made = journey({
        kind: GUEST, bytesPerSecond: LINK_BYTES_PER_SECOND, settings: { census: { intervalSeconds: 60 } },
      })

      for (const mode of MODES) {
        for (const [from, to] of JOURNEY) {
          it(`in ${mode}, ${from} to ${to}, memory equal byte for byte`, async () => {
            assert.equal(await majorOf(made.home) >= 10, from === 'next')
            // It stands still so that its memory can be compared; it must arrive like that.
            await made.home.qmp.execute('stop')
            // QEMU by itself resumes a guest that arrives in post-copy, whatever its state before.
            await made.step({ qemu: to, paused: true }, (ends) => travel(ends, mode))
          })
        }
      }
    })
  }
})
