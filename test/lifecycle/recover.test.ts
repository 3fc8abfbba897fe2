/**
 * Post-copy is interrupted at random moments, and `pagemesh recover` brings the whole guest to the destination, like an
 * uninterrupted move. PAGEMESH_CUTS sets how often, PAGEMESH_SEED repeats the same moments; `npm run test:lifecycle`
 * cuts ten times.
 */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'

import { systemClock } from '../../src/runtime/clock.ts'
import { compareArrived, resultOf, waitFor } from '../../testnet/index.ts'
import type { Witness } from '../support/witness.ts'
import { spreadMoments, untilSent } from './aim.ts'
import { channelsOf, lanesOf, shut, type Connection } from './connections.ts'
import type { TravellingGuest } from './travelling.ts'
import { travels } from './travels.ts'
import { expectBeats, type TwoHosts, type WitnessKind } from './twohosts.ts'

const TEST_TIMEOUT_MS = 180_000
const WAIT_MS = 60_000
const COUNT = Number(process.env['PAGEMESH_CUTS'] ?? 4)
/** Half of its memory is random, so that it must be sent. */
const GUEST = { work: 'random', memoryMiB: 128 } as const
const PREEMPT = ['postcopy-ram', 'postcopy-preempt'].map((capability) => ({ capability, state: true }))
/** Post-copy of that guest takes some seconds. */
const SLOWLY = ['--mode', 'postcopy', '--max-bandwidth', '100Mbit']

interface Cut {
  title: string
  strike(hosts: TwoHosts, destination: Witness): Promise<void>
  mend(hosts: TwoHosts): Promise<void>
}

const CUTS: readonly Cut[] = [
  {
    title: 'the link goes down',
    strike: ({ cluster }) => cluster.network.cut('b'),
    mend: async (hosts) => {
      // If it were restored sooner, the agents would not notice.
      await alone(hosts)
      await hosts.cluster.network.restore('b')
    },
  },
  {
    title: 'the source agent is killed',
    strike: ({ cluster }) => cluster.agent('a').kill(),
    mend: async ({ cluster }) => { await cluster.restartAgent('a') },
  },
  {
    title: 'the destination agent is killed',
    strike: ({ cluster }) => cluster.agent('b').kill(),
    mend: async ({ cluster }) => { await cluster.restartAgent('b') },
  },
  {
    title: 'both agents are killed',
    strike: async ({ cluster }) => {
      await Promise.all([cluster.agent('a').kill(), cluster.agent('b').kill()])
    },
    mend: async ({ cluster }) => {
      await cluster.restartAgent('a')
      await cluster.restartAgent('b')
    },
  },
]

/** What may break with several channels, besides the link. */
const CHANNEL_CUTS: readonly Cut[] = [
  CUTS[0]!,
  {
    title: 'a lane is cut',
    strike: async ({ cluster }) => { await shutOne(lanesOf(cluster.agent('a').pid)) },
    mend: async () => {},
  },
  {
    title: 'a connection of the destination QEMU is closed',
    strike: async (_hosts, destination) => { await shutOne(channelsOf(destination.guest.pid)) },
    mend: async () => {},
  },
]

interface Way {
  title: string
  cuts: readonly Cut[]
  kind: WitnessKind
  /** Urgent pages have a channel of their own. */
  isPreempted: boolean
}

const WAYS: readonly Way[] = [
  { title: 'an interrupted post-copy', cuts: CUTS, kind: GUEST, isPreempted: false },
  ...(['system', 'next'] as const).map((qemu): Way => ({
    title: `an interrupted post-copy over two channels (${qemu} QEMU)`, cuts: CHANNEL_CUTS,
    kind: { ...GUEST, qemu }, isPreempted: true,
  })),
]

for (const { title, cuts, kind, isPreempted } of WAYS) describe(title, function () {
  this.timeout(TEST_TIMEOUT_MS)
  const seed = Number(process.env['PAGEMESH_SEED'] ?? randomInt(2 ** 31))
  /** Percent of the memory that was left when post-copy began. */
  const moments = spreadMoments(seed, COUNT, 5, 85)
  let hosts: TwoHosts
  let guest: TravellingGuest

  const made = travels({
    settings: { census: { intervalSeconds: 60 } }, kind, mend: ({ cluster }) => cluster.network.restore('b'),
  })
  before(() => console.log(`      PAGEMESH_SEED=${seed}`))
  beforeEach(() => { ({ hosts, guest } = made) })

  /** Moves the guest, interrupts the move, and recovers it. */
  async function moveAndRecover(cut: Cut, percent: number): Promise<Witness> {
    const { home } = guest
    const destination = await guest.waiting()
    await hosts.seen(home, destination)
    await home.tellEvents()
    await destination.tellEvents()
    if (isPreempted) await home.client.execute('migrate-set-capabilities', { capabilities: PREEMPT })
    const moving = hosts.migrate('a', guest.name, 'b', ...SLOWLY)
    // Before the destination has taken over, QEMU cannot recover from a break.
    await hosts.untilState(destination, 'paused', 'running')
    assert.ok(await untilSent(home, percent, 'postcopy-active', moving), 'the move ended before its way was cut')
    hosts.trace.add('fault', cut.title)
    await cut.strike(hosts, destination)
    await untilMigration(home, 'postcopy-paused')
    await untilMigration(destination, 'postcopy-paused')
    await cut.mend(hosts)
    await hosts.joined()
    hosts.trace.add('operator', 'recover')
    const outcome = await hosts.cluster.agent('a').command('recover', guest.name, '--json')
    assert.equal(outcome.status, 0, `recover: ${outcome.output}${outcome.errors}`)
    assert.equal(resultOf(outcome)?.status, 'completed')
    for (const end of [home, destination]) await untilMigration(end, 'completed')
    // The command may have ended at the break, or waited for the recovery; its result must be true.
    const broken = await moving
    assert.equal(broken.status === 0, broken.words?.status === 'completed', broken.errors)
    assert.equal(await home.client.state(), 'postmigrate')
    return destination
  }

  for (const [index, percent] of moments.entries()) {
    const cut = cuts[index % cuts.length]!
    it(`${cut.title} after ${percent.toFixed(0)} %: it is recovered, memory equal byte for byte`, async () => {
      // It stands still so that its memory at both ends can be compared; it must arrive like that.
      await guest.home.client.execute('stop')
      const source = guest.home
      const destination = await moveAndRecover(cut, percent)
      assert.deepEqual((await compareArrived(source.guest, destination.guest)).differences, [])
      await expectBeats(destination.guest)
      await hosts.expectFree()
    })
  }

  it(`${CUTS[0]!.title} while it runs: it is recovered, goes on with its work, and moves back`, async () => {
    const destination = await moveAndRecover(CUTS[0]!, 30)
    assert.equal(await destination.client.state(), 'running')
    await expectBeats(destination.guest)
    await hosts.expectFree()
    await guest.settleIn(destination)
    const back = await guest.waiting()
    const { status, errors } = await hosts.migrate('b', guest.name, 'a')
    assert.equal(status, 0, errors)
    await expectBeats(back.guest)
  })
})

/** Any of them, in the kernel's order. */
async function shutOne(connections: readonly Connection[]): Promise<void> {
  const connection = connections[randomInt(connections.length)]!
  assert.ok(await shut(connection), 'it was still there')
}

/**
 * Resolves when QEMU has reported this by an event. It may not answer a query: a guest that needs a missing page can
 * block all of its QEMU.
 */
async function untilMigration(witness: Witness, wanted: string): Promise<void> {
  await waitFor(() => {
    assert.ok(witness.client.isOpen, `the QEMU of ${witness.host} ended`)
    return witness.migration === wanted ? true : undefined
  }, {
    clock: systemClock, what: `the migration at ${witness.host} to be ${wanted}`, timeoutMs: WAIT_MS, pauseMs: 50,
  })
}

/** Resolves when the agents do not see each other any more. */
async function alone(hosts: TwoHosts): Promise<void> {
  for (const host of ['a', 'b']) {
    await waitFor(async () => (await hosts.status(host)).peers.length === 0 ? true : undefined, {
      clock: systemClock, what: `the agent of ${host} to see nobody`, timeoutMs: WAIT_MS, pauseMs: 200,
    })
  }
}
