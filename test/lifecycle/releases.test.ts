import assert from 'node:assert/strict'

import { ensureQemu, migratePlain, type QemuRelease } from '../../testnet/index.ts'
import { expectExactCounts, majorOf, moveAnyhow, skipWithoutLab } from '../support/labmove.ts'
import { journey, type JourneyEnds } from './journey.ts'

const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 120_000
const GUEST = { name: 'traveller', system: 'busybox', work: 'random', memoryMiB: 128 } as const
/** So slow that pre-copy is not over before post-copy is asked for. */
const LINK_BYTES_PER_SECOND = 50e6
const MODES = ['precopy', 'postcopy'] as const
/** Where one journey leads: every step of one release to another, and it ends where it began. */
const JOURNEY: readonly (readonly [from: QemuRelease, to: QemuRelease])[] = [
  ['system', 'system'], ['system', 'next'], ['next', 'next'], ['next', 'system'],
]

/** Moves the guest from host to host, and tells what must hold in between. */
type Mover = (ends: JourneyEnds, mode: typeof MODES[number]) => Promise<void>

const WAYS: Record<string, Mover> = {
  'QEMU alone': async ({ cluster: { network }, source, destination }, mode) => {
    await migratePlain({ source, destination, network, mode, passesBeforePostcopy: 0 })
  },
  'two agents': async ({ cluster, from, to, source }, mode) => {
    const result = await moveAnyhow(cluster, from, to, GUEST.name, ['--mode', mode])
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
            // It stands still, and so it must arrive: then its memory can be compared.
            await made.home.qmp.execute('stop')
            // By itself a QEMU lets a guest run that arrives in post-copy, whatever it did before.
            await made.step({ qemu: to, paused: true }, (ends) => travel(ends, mode))
          })
        }
      }
    })
  }
})
