import assert from 'node:assert/strict'

import type { AgentStatus, EvacuationResult } from '../../src/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { createCluster, ensureImage, waitFor, type LabCluster, type LabGuest } from '../../testnet/index.ts'
import { skipWithoutLab } from '../support/labmove.ts'

const SETUP_TIMEOUT_MS = 600_000
const TEST_TIMEOUT_MS = 600_000
const HOSTS = ['a', 'b', 'c'] as const
type Host = typeof HOSTS[number]
/** Small, and at work: its memory changes while it moves. */
const SMALL = { system: 'busybox', work: 'random', memoryMiB: 128 } as const
const GUESTS = Array.from({ length: 8 }, (_, index) => `web-${index}`)
const CROWD = Array.from({ length: 20 }, (_, index) => `one-${index}`)
const PARALLEL = 3
const SAMPLE_MS = 100

describe('a host that is emptied', function () {
  this.timeout(TEST_TIMEOUT_MS)
  let cluster: LabCluster
  /** QEMUs by name and host, those that wait included. */
  const qemus = new Map<string, LabGuest>()

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    cluster = await createCluster({ hosts: HOSTS, settings: { store: { maxBytes: 0 } } })
  })

  after(async () => { await cluster?.close() })

  async function start(host: Host, name: string, incoming = false): Promise<LabGuest> {
    const guest = await cluster.startGuest(host, { name, ...SMALL, incoming })
    qemus.set(`${name} ${host}`, guest)
    if (!incoming) await guest.ready()
    return guest
  }

  async function startAll(names: readonly string[], host: Host): Promise<void> {
    await Promise.all(names.map((name) => start(host, name)))
    await cluster.settled()
  }

  async function awaitAll(names: readonly string[], hosts: readonly Host[]): Promise<void> {
    await Promise.all(names.flatMap((name) => hosts.map((host) => start(host, name, true))))
  }

  /** Ends the guest's other QEMUs, as a manager would, and sees it alive where it is said to be. */
  async function aliveAt(name: string, host: Host): Promise<void> {
    for (const other of HOSTS) {
      const key = `${name} ${other}`
      if (other === host || !qemus.has(key)) continue
      await qemus.get(key)!.stop()
      qemus.delete(key)
    }
    await qemus.get(`${name} ${host}`)!.moreBeats(1)
  }

  async function endAll(): Promise<void> {
    await Promise.all([...qemus.values()].map((guest) => guest.stop()))
    qemus.clear()
  }

  /** Runs `work`, and returns the most guests that left a, and that came to each other host, at any moment seen. */
  async function sampled<T>(work: Promise<T>): Promise<{ result: T; most: Record<Host, number> }> {
    const most = { a: 0, b: 0, c: 0 }
    let isOver = false
    void work.finally(() => { isOver = true }).catch(() => {})
    while (!isOver) {
      for (const host of HOSTS) {
        const status = await cluster.agent(host).status().catch(() => undefined)
        if (status !== undefined) most[host] = Math.max(most[host], movingAt(status))
      }
      await systemClock.sleep(SAMPLE_MS)
    }
    return { result: await work, most }
  }

  async function evacuate(...words: string[]): Promise<EvacuationResult> {
    const { output, errors } = await cluster.agent('a').command('evacuate', '--json', ...words)
    assert.notEqual(output, '', errors)
    return JSON.parse(output) as EvacuationResult
  }

  // The ratio of the times is a figure: guests and agents share the processors here.
  it('has its eight guests elsewhere, so many at once', async () => {
    await startAll(GUESTS, 'b')
    await awaitAll(GUESTS, ['a'])
    const oneByOneMs = await timed(async () => {
      for (const name of GUESTS) {
        const { result, errors } = await cluster.agent('b').migrate(name, 'a')
        assert.equal(result?.status, 'completed', errors)
      }
    })
    for (const name of GUESTS) await aliveAt(name, 'a')
    await Promise.all(GUESTS.map((name, index) => start(index % 2 === 0 ? 'b' : 'c', name, true)))
    await cluster.settled()
    const dry = await evacuate('--dry-run')
    assert.deepEqual(dry.guests.map(({ status }) => status), GUESTS.map(() => 'planned'))
    let evacuated: { result: EvacuationResult; most: Record<Host, number> } | undefined
    const evacuatedMs = await timed(async () => {
      evacuated = await sampled(evacuate('--parallel', String(PARALLEL)))
    })
    const { result, most } = evacuated!
    assert.deepEqual([result.status, result.guests.length], ['completed', GUESTS.length])
    console.log(`      one by one ${Math.round(oneByOneMs)} ms, evacuated in ${Math.round(evacuatedMs)} ms: ratio ` +
      `${(evacuatedMs / oneByOneMs).toFixed(2)}; at most ${most.a} left, ${most.b} and ${most.c} came`)
    assert.ok(most.a >= 2 && most.a <= PARALLEL)
    assert.ok(most.b <= PARALLEL && most.c <= PARALLEL)
    for (const { guest, to } of result.guests) await aliveAt(guest, to as Host)
    await endAll()
  })

  it('loses none when a destination dies in the middle: the rest go elsewhere', async () => {
    await startAll(GUESTS, 'a')
    await awaitAll(GUESTS, ['b', 'c'])
    const evacuating = evacuate('--parallel', String(PARALLEL))
    await waitFor(async () => movingAt(await cluster.agent('b').status()) > 0 || undefined,
      { clock: systemClock, what: 'a guest to come to b', timeoutMs: TEST_TIMEOUT_MS, pauseMs: SAMPLE_MS })
    await cluster.agent('b').kill()
    const { status, guests } = await evacuating
    console.log(`      ${guests.map(({ guest, to, status }) => `${guest} ${status} ${to}`).join(', ')}`)
    await cluster.restartAgent('b')
    assert.equal(status, 'completed')
    assert.ok(guests.some(({ to }) => to === 'c'))
    for (const { guest, to } of guests) await aliveAt(guest, to as Host)
    await endAll()
  })

  it('has twenty guests that were told at once to go to the same host arrive there', async () => {
    await startAll(CROWD, 'a')
    await awaitAll(CROWD, ['b'])
    const all = Promise.all(CROWD.map((name) => cluster.agent('a').migrate(name, 'b', '--wait')))
    const { result, most } = await sampled(all)
    assert.deepEqual(result.map(({ result: moved }) => moved?.status), CROWD.map(() => 'completed'))
    assert.ok(most.a <= 4 && most.b <= 4, `${most.a} left and ${most.b} came at once`)
    for (const name of CROWD) await aliveAt(name, 'b')
  })
})

async function timed(work: () => Promise<void>): Promise<number> {
  const beganAt = performance.now()
  await work()
  return performance.now() - beganAt
}

/** Guests that leave, or come, and do not queue. */
function movingAt({ handoffs }: AgentStatus): number {
  return handoffs.filter(({ phase }) => phase !== 'queued').length
}
