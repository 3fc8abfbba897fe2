import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'

import { createCluster, ensureImage, type LabCluster, type LabGuest } from '../../testnet/index.ts'
import {
  expectArrivedWhole, expectExactCounts, move, moveToStandstill, skipWithoutLab, type GuestKind, type MoveResult,
} from '../support/labmove.ts'

const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 240_000
const HOSTS = ['a', 'b']
const LINK_BYTES_PER_SECOND = 125e6
const MEMORY_MIB = 256
const PAGES_PER_MIB = 256
/** How much memory the dirty guest rewrites, MiB. */
const DIRTY_MIB = 16
/**
 * Long enough to send all that the dirty guest rewrites, since otherwise its pre-copy would never end; short enough
 * that most of its memory is sent while it runs.
 */
const DIRTY_DOWNTIME_MS = 500
/** Never enough for it: its pre-copy continues until the guest is stopped. */
const ENDLESS_DOWNTIME_MS = 1
const SENT_AGAIN_MIB_MIN = 1
/** For a guest that has much in common with the destination's pages. */
const REFS_MIN = 1000

interface HandoffCase {
  title: string
  guest: GuestKind
  /** Arguments for the pre-copy of a running guest. */
  precopyWords: readonly string[]
  /** Whether the guest writes all the time, so that some pages are sent again. */
  dirties: boolean
  /** Passage threads of the agents. */
  threads: number
  /** Whether the destination has similar pages: at b those of a similar guest, at a those that the guest left there. */
  hasLike: boolean
}

const CASES: readonly HandoffCase[] = [
  {
    title: 'an idle guest',
    guest: { name: 'idle', work: 'idle', memoryMiB: MEMORY_MIB }, precopyWords: [], dirties: false,
    threads: 1, hasLike: true,
  },
  {
    title: 'a guest that dirties memory fast',
    guest: { name: 'dirty', work: `dirty:${DIRTY_MIB}`, memoryMiB: MEMORY_MIB },
    precopyWords: ['--max-downtime', String(DIRTY_DOWNTIME_MS)], dirties: true, threads: 0, hasLike: false,
  },
  {
    title: 'a guest full of random data',
    guest: { name: 'random', work: 'random', memoryMiB: MEMORY_MIB }, precopyWords: [], dirties: false,
    threads: 0, hasLike: false,
  },
]

describe('handoff between two agents', function () {
  this.timeout(TEST_TIMEOUT_MS)
  let cluster: LabCluster | undefined

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    cluster = await createCluster({ hosts: HOSTS, bytesPerSecond: LINK_BYTES_PER_SECOND, withoutAgents: true })
  })

  after(async () => {
    await cluster?.close()
  })

  /** Passage threads of this host's agent. */
  function threadsOf(host: string): number {
    const folder = `/proc/${cluster!.agent(host).pid}/task`
    return readdirSync(folder)
      .filter((task) => readFileSync(`${folder}/${task}/comm`, 'utf8').startsWith('passage')).length
  }

  for (const { title, guest, precopyWords, dirties, threads, hasLike } of CASES) {
    describe(`of ${title}, ${threads === 0 ? 'in the agent\'s own thread' : 'in worker threads'}`, () => {
      /** The QEMU in which the guest lives now. */
      let home: LabGuest
      /** After a failed move the guest's place is unknown. */
      let isLost = false
      const started: LabGuest[] = []

      async function start(host: string, incoming: boolean, kind = guest): Promise<LabGuest> {
        const qemu = await cluster!.startGuest(host, { ...kind, incoming })
        started.push(qemu)
        return qemu
      }

      before(async function () {
        this.timeout(SETUP_TIMEOUT_MS)
        home = await start('a', false)
        const like = hasLike ? [await start('b', false, { ...guest, name: 'like' })] : []
        for (const booting of [home, ...like]) await booting.ready()
        for (const host of HOSTS) await cluster!.restartAgent(host, { handoff: { threads } })
        await cluster!.settled()
      })

      beforeEach(function () {
        if (isLost) this.skip()
        isLost = true
      })

      after(async () => {
        for (const host of HOSTS) await cluster?.agent(host)?.stop()
        for (const qemu of started) await qemu.stop()
      })

      /** The guest now lives in `destination`; its old QEMU ends, so that the guest can come back. */
      async function settleIn(destination: LabGuest, { pages }: MoveResult): Promise<void> {
        if (hasLike) assert.ok(pages.ref > REFS_MIN, JSON.stringify(pages))
        assert.deepEqual(HOSTS.map(threadsOf), HOSTS.map(() => threads))
        await home.stop()
        home = destination
        isLost = false
      }

      it('in pre-copy, memory equal byte for byte', async () => {
        const destination = await start('b', true)
        const result = await moveToStandstill(cluster!, {
          guest: home, from: 'a', to: 'b', mode: 'precopy',
          ...(dirties
            ? { standstill: { passesAfterFirst: 1 }, words: ['--max-downtime', String(ENDLESS_DOWNTIME_MS)] } : {}),
        })
        await expectExactCounts(result, home)
        if (dirties) expectSentAgain(result.pages.total)
        await expectArrivedWhole(home, destination, MEMORY_MIB)
        await settleIn(destination, result)
      })

      it('in post-copy, memory equal byte for byte', async () => {
        const destination = await start('a', true)
        const result = await moveToStandstill(cluster!, { guest: home, from: 'b', to: 'a', mode: 'postcopy' })
        await expectExactCounts(result, home)
        await expectArrivedWhole(home, destination, MEMORY_MIB)
        await settleIn(destination, result)
      })

      it('in post-copy, running on at the destination while its memory follows', async () => {
        const destination = await start('b', true)
        const moved = move(cluster!, { guest: home, from: 'a', to: 'b', mode: 'postcopy' })
        await destination.moreBeats(1)
        const result = await moved
        await expectExactCounts(result, home)
        await destination.moreBeats(2)
        await settleIn(destination, result)
      })

      it('in pre-copy, running all the time', async () => {
        const destination = await start('a', true)
        const result = await move(cluster!, {
          guest: home, from: 'b', to: 'a', mode: 'precopy', words: precopyWords,
        })
        await expectExactCounts(result, home)
        if (dirties) expectSentAgain(result.pages.total)
        await destination.moreBeats(2)
        await settleIn(destination, result)
      })

      function expectSentAgain(pagesSent: number): void {
        const again = pagesSent - MEMORY_MIB * PAGES_PER_MIB
        assert.ok(again >= SENT_AGAIN_MIB_MIN * PAGES_PER_MIB, `only ${again} pages were sent again`)
      }
    })
  }
})
