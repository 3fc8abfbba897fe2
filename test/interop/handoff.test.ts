import assert from 'node:assert/strict'

import { createCluster, ensureImage, type LabCluster, type LabGuest } from '../../testnet/index.ts'
import {
  expectArrivedWhole, expectExactCounts, move, moveToStandstill, skipWithoutLab, type GuestKind,
} from './labmove.ts'

const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 240_000
const LINK_BYTES_PER_SECOND = 125e6
const MEMORY_MIB = 256
const PAGES_PER_MIB = 256
/** What the dirty guest writes over and over. */
const DIRTY_MIB = 16
/**
 * Long enough to send all that the dirty guest writes, otherwise its pre-copy would never end; so short that most of
 * its memory is sent while it runs.
 */
const DIRTY_DOWNTIME_MS = 500
/** Never enough for it: its pre-copy goes on until it is stopped. */
const ENDLESS_DOWNTIME_MS = 1
const SENT_AGAIN_MIB_MIN = 1

interface HandoffCase {
  title: string
  guest: GuestKind
  /** For the pre-copy of a guest that runs on. */
  precopyWords: readonly string[]
  /** Whether the guest writes all the while: then some pages are sent again. */
  dirties: boolean
}

const CASES: readonly HandoffCase[] = [
  {
    title: 'an idle guest',
    guest: { name: 'idle', work: 'idle', memoryMiB: MEMORY_MIB }, precopyWords: [], dirties: false,
  },
  {
    title: 'a guest that dirties memory fast all the while',
    guest: { name: 'dirty', work: `dirty:${DIRTY_MIB}`, memoryMiB: MEMORY_MIB },
    precopyWords: ['--max-downtime', String(DIRTY_DOWNTIME_MS)], dirties: true,
  },
  {
    title: 'a guest full of random data',
    guest: { name: 'random', work: 'random', memoryMiB: MEMORY_MIB }, precopyWords: [], dirties: false,
  },
]

describe('handoff between two agents', function () {
  this.timeout(TEST_TIMEOUT_MS)
  let cluster: LabCluster | undefined

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    cluster = await createCluster({ hosts: ['a', 'b'], bytesPerSecond: LINK_BYTES_PER_SECOND })
  })

  after(async () => {
    await cluster?.close()
  })

  for (const { title, guest, precopyWords, dirties } of CASES) {
    describe(`of ${title}`, () => {
      /** Where the guest lives now. */
      let home: LabGuest
      /** A move went wrong: nobody knows where the guest is. */
      let isLost = false
      const started: LabGuest[] = []

      async function start(host: string, incoming: boolean): Promise<LabGuest> {
        const qemu = await cluster!.startGuest(host, { ...guest, incoming })
        started.push(qemu)
        return qemu
      }

      before(async function () {
        this.timeout(SETUP_TIMEOUT_MS)
        home = await start('a', false)
        await home.ready()
        await cluster!.settled()
      })

      beforeEach(function () {
        if (isLost) this.skip()
        isLost = true
      })

      after(async () => {
        for (const qemu of started) await qemu.stop()
      })

      /** The guest lives in `destination` now; the QEMU that it left ends, so that the guest can come back. */
      async function settleIn(destination: LabGuest): Promise<void> {
        await home.stop()
        home = destination
        isLost = false
      }

      it('in pre-copy, memory equal byte for byte', async () => {
        const destination = await start('b', true)
        const ends = { from: 'a', to: 'b', source: home }
        const result = dirties
          ? await moveToStandstill(cluster!, ends, { mode: 'precopy', passesAfterFirst: 1 },
            '--max-downtime', String(ENDLESS_DOWNTIME_MS))
          : await moveToStandstill(cluster!, ends, { mode: 'precopy' })
        await expectExactCounts(result, home)
        if (dirties) expectSentAgain(result.pages.total)
        await expectArrivedWhole(home, destination, MEMORY_MIB)
        await settleIn(destination)
      })

      it('in post-copy, memory equal byte for byte', async () => {
        const destination = await start('a', true)
        const result = await moveToStandstill(cluster!, { from: 'b', to: 'a', source: home }, { mode: 'postcopy' })
        await expectExactCounts(result, home)
        await expectArrivedWhole(home, destination, MEMORY_MIB)
        await settleIn(destination)
      })

      it('in post-copy, running on at the destination while its memory follows', async () => {
        const destination = await start('b', true)
        const moved = move(cluster!, 'a', 'b', guest.name, '--mode', 'postcopy')
        await destination.moreBeats(1)
        await expectExactCounts(await moved, home)
        await destination.moreBeats(2)
        await settleIn(destination)
      })

      it('in pre-copy, running all the while', async () => {
        const destination = await start('a', true)
        const result = await move(cluster!, 'b', 'a', guest.name, ...precopyWords)
        assert.equal(result.mode, 'precopy')
        await expectExactCounts(result, home)
        if (dirties) expectSentAgain(result.pages.total)
        await destination.moreBeats(2)
        await settleIn(destination)
      })

      function expectSentAgain(pagesSent: number): void {
        const again = pagesSent - MEMORY_MIB * PAGES_PER_MIB
        assert.ok(again >= SENT_AGAIN_MIB_MIN * PAGES_PER_MIB, `only ${again} pages were sent again`)
      }
    })
  }
})
