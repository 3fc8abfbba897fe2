import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'

import { systemClock } from '../../src/runtime/clock.ts'
import { createCluster, ensureImage, waitFor, type LabCluster } from '../../testnet/index.ts'
import { skipWithoutLab, type GuestKind } from '../support/labmove.ts'
import { InterruptedMove, type Fault } from './interruptedmove.ts'

const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 900_000
const MOMENTS = Number(process.env['PAGEMESH_FAULTS'] ?? 10)
/** After these faults the guest is moved successfully. */
const SUCCESS_AFTER: readonly number[] = [3, 7, MOMENTS]
/** Slow enough that pre-copy takes some seconds. */
const LINK_BYTES_PER_SECOND = 25e6
const ALONE_TIMEOUT_MS = 60_000
/** Ready in seconds, and half of its memory is random, so that pre-copy takes a while. */
const GUEST: GuestKind = { name: 'random', system: 'busybox', work: 'random', memoryMiB: 256 }
/** About half of what QEMU writes of this guest's memory, so that every moment is before switchover. */
const LATEST_MOMENT_BYTES = 100e6
/**
 * How much a surviving agent may grow over the second half of the faults: buffers that the collector has not freed yet.
 * Ten handoffs' buffers would be several times as much.
 */
const AGENT_GROWTH_BYTES_MAX = 128 * 2 ** 20

const FAULTS: readonly Fault[] = [
  {
    title: 'the source agent is killed',
    names: () => /agent on this host ended/,
    strike: (cluster, { from }) => cluster.agent(from).kill(),
    mend: async (cluster, { from }) => { await cluster.restartAgent(from) },
    survivors: ({ to }) => [to],
  },
  {
    title: 'the destination agent is killed',
    names: () => /connection between the two agents was lost|other agent/,
    strike: (cluster, { to }) => cluster.agent(to).kill(),
    mend: async (cluster, { to }) => { await cluster.restartAgent(to) },
    survivors: ({ from }) => [from],
  },
  {
    title: 'the destination QEMU is killed',
    names: (to) => new RegExp(`${to}: the destination QEMU`, 'i'),
    strike: (_cluster, { destination }) => destination.stop(),
    mend: async () => {},
    survivors: ({ from, to }) => [from, to],
  },
  {
    title: 'the connection is cut in silence',
    names: () => /connection between the two agents was lost/,
    strike: (cluster, { to }) => cluster.network.cut(to),
    mend: async (cluster, { from, to }) => {
      // If it were restored sooner, the agents would lose each other at a later moment.
      await Promise.all([untilAlone(cluster, from), untilAlone(cluster, to)])
      await cluster.network.restore(to)
    },
    survivors: ({ from, to }) => [from, to],
  },
]

/** All moments of one fault, in its own cluster. */
interface Run {
  moves: InterruptedMove
  /** Settles after all moments; rejects with the fault found. */
  done: Promise<void>
}

describe('a fault during pre-copy', function () {
  this.timeout(TEST_TIMEOUT_MS)
  const seed = Number(process.env['PAGEMESH_SEED'] ?? randomInt(2 ** 31))
  const clusters: LabCluster[] = []
  let runs: Run[] = []

  // All in parallel: they wait more than they compute.
  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    console.log(`      PAGEMESH_SEED=${seed}`)
    await ensureImage()
    const starts = await Promise.allSettled(FAULTS.map(() => startMoves(clusters)))
    const started = starts.map((start) => {
      if (start.status === 'rejected') throw start.reason
      return start.value
    })
    runs = started.map((moves, index) => {
      const done = strikeAtAllMoments(FAULTS[index]!, moves, seededFractions(seed + index))
      // Its own test awaits it; until then a rejection must not count as unhandled.
      done.catch(() => {})
      return { moves, done }
    })
  })

  after(async () => {
    await Promise.allSettled(clusters.map((cluster) => cluster.close()))
  })

  for (const [index, { title }] of FAULTS.entries()) {
    it(`leaves the guest where it was when ${title}, at ${MOMENTS} moments`, () => runs[index]!.done)
  }

  it('costs the agents no memory for good', () => {
    for (const [pid, sizes] of runs.flatMap(({ moves }) => [...moves.residentBytes])) {
      const growth = sizes.at(-1)! - sizes[Math.floor(sizes.length / 2)]!
      assert.ok(growth < AGENT_GROWTH_BYTES_MAX, `process ${pid} grew: ${sizes.join(', ')} bytes`)
    }
  })
})

/** Starts two hosts with agents, and the guest on one of them; the cluster is in `clusters` even if this fails. */
async function startMoves(clusters: LabCluster[]): Promise<InterruptedMove> {
  const cluster = await createCluster({
    hosts: ['a', 'b'], bytesPerSecond: LINK_BYTES_PER_SECOND,
    // A discovered guest is scanned at once; scans are not tested here.
    settings: { census: { intervalSeconds: 60 } },
  })
  clusters.push(cluster)
  const guest = await cluster.startGuest('a', GUEST)
  await guest.ready()
  await cluster.settled()
  return new InterruptedMove(cluster, GUEST, { guest, from: 'a', to: 'b' })
}

async function strikeAtAllMoments(fault: Fault, moves: InterruptedMove, fraction: () => number): Promise<void> {
  for (let valid = 0; valid < MOMENTS;) {
    if (!await moves.interrupt(fault, fraction() * LATEST_MOMENT_BYTES)) continue
    valid += 1
    if (SUCCESS_AFTER.includes(valid)) await moves.succeed()
  }
}

/** Resolves when the agent of `host` sees no other. */
async function untilAlone(cluster: LabCluster, host: string): Promise<void> {
  await waitFor(async () => (await cluster.agent(host).status()).peers.length === 0 ? true : undefined, {
    clock: systemClock, what: `the agent of ${host} to see nobody`, timeoutMs: ALONE_TIMEOUT_MS, pauseMs: 200,
  })
}

/** The same moments for the same seed: mulberry32, fractions in [0, 1). */
function seededFractions(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
