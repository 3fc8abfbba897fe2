import assert from 'node:assert/strict'

import {
  createCluster, ensureImage, ensureQemu, migratePlain, type LabCluster, type LabGuest, type QemuRelease,
} from '../../testnet/index.ts'
import {
  expectArrivedWhole, expectExactCounts, majorOf, moveAnyhow, skipWithoutLab, type GuestKind,
} from '../interop/labmove.ts'

const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 120_000
const MEMORY_MIB = 128
const GUEST: GuestKind = { name: 'traveller', system: 'busybox', work: 'random', memoryMiB: MEMORY_MIB }
/** So slow that pre-copy is not over before post-copy is asked for. */
const LINK_BYTES_PER_SECOND = 50e6
const MODES = ['precopy', 'postcopy'] as const
/** Where one journey leads: every step of one release to another, and it ends where it began. */
const JOURNEY: readonly (readonly [from: QemuRelease, to: QemuRelease])[] = [
  ['system', 'system'], ['system', 'next'], ['next', 'next'], ['next', 'system'],
]

/** Moves the guest from host to host, and tells what must hold in between. */
type Mover = (
  cluster: LabCluster, ends: { from: string; to: string; source: LabGuest; destination: LabGuest },
  mode: typeof MODES[number],
) => Promise<void>

const WAYS: Record<string, Mover> = {
  'QEMU alone': async ({ network }, { source, destination }, mode) => {
    await migratePlain({ source, destination, network, mode, passesBeforePostcopy: 0 })
  },
  'two agents': async (cluster, { from, to, source }, mode) => {
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
    await ensureImage()
    console.log(`      the next release's: ${await ensureQemu('next')}`)
  })

  for (const [way, travel] of Object.entries(WAYS)) {
    describe(`is moved by ${way}`, () => {
      let cluster: LabCluster | undefined
      let home: LabGuest
      let hosts: readonly [string, string] = ['a', 'b']
      /** A move went wrong: nobody knows where the guest is. */
      let isLost = false

      before(async function () {
        this.timeout(SETUP_TIMEOUT_MS)
        cluster = await createCluster({
          hosts, bytesPerSecond: LINK_BYTES_PER_SECOND, settings: { census: { intervalSeconds: 60 } },
        })
        home = await cluster.startGuest('a', GUEST)
        await home.ready()
        await cluster.settled()
      })

      beforeEach(function () {
        if (isLost) this.skip()
        isLost = true
      })

      after(async () => {
        await cluster?.close()
      })

      for (const mode of MODES) {
        for (const [from, to] of JOURNEY) {
          it(`in ${mode}, ${from} to ${to}, memory equal byte for byte`, async () => {
            assert.equal(await majorOf(home) >= 10, from === 'next')
            const [here, there] = hosts
            // It stands still, and so it must arrive: then its memory can be compared.
            await home.qmp.execute('stop')
            // By itself a QEMU lets a guest run that arrives in post-copy, whatever it did before.
            const destination = await cluster!.startGuest(there, { ...GUEST, qemu: to, incoming: true, paused: true })
            await travel(cluster!, { from: here, to: there, source: home, destination }, mode)
            await expectArrivedWhole(home, destination, MEMORY_MIB)
            await home.stop()
            home = destination
            hosts = [there, here]
            isLost = false
          })
        }
      }
    })
  }
})
