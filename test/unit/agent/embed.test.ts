import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createAgent, MemoryNetwork, PAGE_BYTES, type Agent } from '../../../src/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { waitFor } from '../../../testnet/index.ts'
import { destinationGuest, memoryOf, sourceGuest } from '../../support/fakeguest.ts'
import { postcopyStream, precopyStream } from '../../support/streambuilder.ts'

const PAGES = 600

/** Pages of which nothing is compressible, the same for the same seed. */
function pagesOf(count: number): Buffer[] {
  return Array.from({ length: count }, () => randomBytes(PAGE_BYTES))
}

describe('two agents embedded in one process', () => {
  const directory = mkdtempSync(join(tmpdir(), 'pm-embed-'))
  const clusterKey = randomBytes(32)
  const network = new MemoryNetwork()
  let agents: Agent[] = []
  const states: string[] = []

  async function start(...names: string[]): Promise<Agent[]> {
    const path = mkdtempSync(join(tmpdir(), 'pm-embed-state-'))
    states.push(path)
    agents = await Promise.all(names.map(async (name) => await createAgent(
      { name, clusterKey, runtimeDirectory: join(directory, name), store: { path, maxBytes: 0 } },
      { mesh: network.createMesh(name) },
    )))
    for (const agent of agents) await agent.start()
    return agents
  }

  async function settled(...all: Agent[]): Promise<void> {
    await waitFor(() => (all.every((agent) => agent.status().settled) ? true : undefined), {
      clock: systemClock, what: 'the agents to settle', timeoutMs: 10_000,
    })
  }

  afterEach(async () => {
    for (const agent of agents) await agent.stop()
    const left = readdirSync(directory).flatMap((name) => readdirSync(join(directory, name)))
    assert.deepEqual(left, [], 'nothing is left behind')
  })
  after(() => {
    for (const path of [directory, ...states]) rmSync(path, { recursive: true, force: true })
  })

  for (const mode of ['precopy', 'postcopy'] as const) {
    it(`hand over a guest in ${mode}, with references to a guest of the embedder's own`, async () => {
      const [a, b] = await start('a', 'b') as [Agent, Agent]
      const shared = pagesOf(PAGES)
      const own = pagesOf(50)
      const pages = [...shared, ...own, ...own]
      const blocks = [{ name: 'pc.ram', pages: [...pages, undefined, undefined] }]
      const { bytes } = mode === 'precopy' ? precopyStream(blocks) : postcopyStream(blocks, blocks)
      const source = sourceGuest('web', pages, bytes)
      const destination = destinationGuest('web', bytes.length)
      b.addGuest(memoryOf('other', shared))
      b.addGuest(destination.guest)
      a.addGuest(source.guest)
      await settled(a, b)
      const phases = new Set<string>()
      const result = await a.migrate({ guest: 'web', to: 'b', mode }).on('progress', ({ phase }) => phases.add(phase))

      assert.equal(result.reason, undefined)
      assert.equal(result.status, 'completed')
      assert.ok(result.digestMatched)
      assert.ok(Buffer.from(bytes).equals(destination.control.received), 'QEMU there got the very same bytes')
      assert.equal(result.qemuBytes, bytes.length)
      assert.equal(result.pages.total, result.pages.zero + result.pages.ref + result.pages.literal)
      assert.equal(Object.values(result.refsFilledBy).reduce((sum, count) => sum + count), result.pages.ref)
      assert.equal(result.refsFilledBy.resident, mode === 'precopy' ? PAGES : 2 * PAGES)
      assert.equal(result.pages.literal, 50)
      assert.ok(result.wireBytes < bytes.length / 4)
      assert.equal(result.rawBytes + (result.pages.ref + result.pages.literal) * PAGE_BYTES, bytes.length)
      assert.equal(destination.control.state, 'running')
      await waitFor(() => (source.control.state === 'postmigrate' ? true : undefined), {
        clock: systemClock, what: 'the source QEMU to hear the last word of the other', timeoutMs: 5000,
      })
      assert.equal(source.control.status, 'completed')
      await waitFor(() => (b.status().traffic.handoff.receivedBytes > 0 ? true : undefined), {
        clock: systemClock, what: 'the destination to count the handoff', timeoutMs: 5000,
      })
    })
  }

  it('ask back what changed since the census, and never use a wrong page', async () => {
    const [a, b] = await start('a', 'b') as [Agent, Agent]
    const pages = pagesOf(PAGES)
    const held = pages.map((page) => Buffer.from(page))
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: [...pages, undefined] }])
    const destination = destinationGuest('web', bytes.length)
    b.addGuest(memoryOf('other', held))
    b.addGuest(destination.guest)
    a.addGuest(sourceGuest('web', pages, bytes).guest)
    await settled(a, b)
    for (let i = 0; i < PAGES; i += 3) held[i]!.fill(0xff, 100, 200)
    const result = await a.migrate({ guest: 'web', to: 'b' })
    assert.equal(result.status, 'completed')
    assert.equal(result.refsFilledBy.source, PAGES / 3)
    assert.equal(result.refsFilledBy.resident, PAGES - PAGES / 3)
    assert.ok(Buffer.from(bytes).equals(destination.control.received))
  })

  it('move nothing in a dry run, and say what is there', async () => {
    const [a, b] = await start('a', 'b') as [Agent, Agent]
    const pages = pagesOf(100)
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: [...pages, undefined] }])
    const destination = destinationGuest('web', bytes.length)
    b.addGuest(memoryOf('other', pages.slice(0, 40)))
    b.addGuest(destination.guest)
    const source = sourceGuest('web', pages, bytes)
    a.addGuest(source.guest)
    await settled(a, b)
    const estimate = await a.estimate({ guest: 'web', to: 'b' })
    assert.deepEqual([estimate.distinctPages, estimate.pagesAtDestination], [100, 40])
    assert.equal(destination.control.received.length, 0)
    assert.equal(source.control.state, 'running')
  })

  it('refuse what cannot be done, each with its reason', async () => {
    const [a, b] = await start('a', 'b') as [Agent, Agent]
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: [...pagesOf(10), undefined] }])
    const source = sourceGuest('web', [], bytes)
    a.addGuest(source.guest)
    a.addGuest(memoryOf('still', []))
    b.addGuest(memoryOf('still', []))
    const outcome = async (guest: string, to: string): Promise<string | undefined> => {
      const result = await a.migrate({ guest, to })
      assert.equal(result.status, 'failed')
      assert.ok(result.reason!.length > 20)
      return result.code
    }
    assert.equal(await outcome('nobody', 'b'), 'guest-unknown')
    assert.equal(await outcome('web', 'nowhere'), 'host-unknown')
    assert.equal(await outcome('web', 'a'), 'same-host')
    assert.equal(await outcome('web', 'b'), 'no-waiting-guest')
    assert.equal(await outcome('still', 'b'), 'guest-not-movable')
    await assert.rejects(a.cancel('web'), { code: 'no-handoff' })
    assert.throws(() => a.addGuest(source.guest), { code: 'guest-exists' })
    assert.equal(source.control.state, 'running')
  })

  it('wait for a host that has just left, and not for one that was never there', async () => {
    const [a, b] = await start('a', 'b') as [Agent, Agent]
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: [...pagesOf(10), undefined] }])
    const destination = destinationGuest('web', bytes.length)
    a.addGuest(sourceGuest('web', [], bytes).guest)
    b.addGuest(destination.guest)
    network.disconnect('b')
    const moving = a.migrate({ guest: 'web', to: 'b' })
    const beganAt = systemClock.now()
    assert.equal((await a.migrate({ guest: 'none', to: 'c' })).code, 'guest-unknown')
    assert.ok(systemClock.now() - beganAt < 5000)
    network.reconnect('b')
    assert.equal((await moving).status, 'completed')
  })

  it('move a guest only once at a time, and cancel on request', async () => {
    const [a, b] = await start('a', 'b') as [Agent, Agent]
    const pages = pagesOf(100)
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: [...pages, undefined] }])
    const source = sourceGuest('web', pages, bytes, { holdAfter: 200_000 })
    const destination = destinationGuest('web', bytes.length)
    a.addGuest(source.guest)
    b.addGuest(destination.guest)
    await settled(a)
    const first = a.migrate({ guest: 'web', to: 'b' })
    await waitFor(() => (destination.control.received.length > 0 ? true : undefined), {
      clock: systemClock, what: 'the stream to arrive', timeoutMs: 15_000,
    })
    assert.equal((await a.migrate({ guest: 'web', to: 'b' })).code, 'already-moving')
    assert.equal(a.status().handoffs.length, 1)
    assert.equal(b.status().handoffs[0]?.direction, 'incoming')
    const cancelling = a.cancel('web')
    const result = await first
    assert.equal(result.status, 'cancelled')
    assert.deepEqual(await cancelling, { status: 'cancelled', result })
    assert.ok(source.control.cancelled)
    assert.deepEqual(a.status().handoffs, [])
  })

  it('never run a guest twice when the news of the switch is lost: the source\'s host decides', async () => {
    for (const keeps of [true, false]) {
      const [a, b] = await start('a', 'b') as [Agent, Agent]
      const pages = pagesOf(20)
      const { bytes } = precopyStream([{ name: 'pc.ram', pages: [...pages, undefined] }])
      // The destination has loaded all, and the lane breaks before the source heard of it, or right after.
      const source = sourceGuest('web', pages, bytes, {
        onShut: (control) => {
          if (!keeps) control.complete()
          network.cutLanes()
        },
      })
      const destination = destinationGuest('web', bytes.length)
      a.addGuest(source.guest)
      b.addGuest(destination.guest)
      const result = await a.migrate({ guest: 'web', to: 'b' })
      assert.equal(result.status, keeps ? 'failed' : 'completed')
      const isSettled = () => (keeps ? destination.control.hasEnded : destination.control.state === 'running')
      await waitFor(() => (isSettled() ? true : undefined), {
        clock: systemClock, what: 'the destination to settle', timeoutMs: 10_000,
      })
      assert.deepEqual([...b.status().handoffs, ...b.status().held], [])
      assert.equal(destination.control.hasEnded, keeps)
      assert.equal(destination.control.state, keeps ? 'paused' : 'running')
      assert.equal(source.control.state, keeps ? 'running' : 'postmigrate')
      for (const agent of agents) await agent.stop()
    }
  })

  it('keep the guest at the source when the destination QEMU dies, the lane breaks or time runs out', async () => {
    for (const failure of ['qemu', 'lane', 'timeout', 'agent'] as const) {
      const [a, b] = await start('a', 'b') as [Agent, Agent]
      const pages = pagesOf(100)
      const { bytes } = precopyStream([{ name: 'pc.ram', pages: [...pages, undefined] }])
      const source = sourceGuest('web', pages, bytes, { holdAfter: 200_000 })
      const destination = destinationGuest('web', bytes.length, failure === 'qemu' ? { dieAfter: 100_000 } : {})
      a.addGuest(source.guest)
      b.addGuest(destination.guest)
      const migrating = a.migrate({ guest: 'web', to: 'b', ...(failure === 'timeout' ? { timeoutMs: 3000 } : {}) })
      await waitFor(() => (destination.control.received.length > 0 ? true : undefined), {
        clock: systemClock, what: 'the stream to arrive', timeoutMs: 15_000,
      })
      if (failure === 'lane') network.cutLanes()
      if (failure === 'agent') await b.stop()
      const result = await migrating
      assert.equal(result.status, 'failed', failure)
      const expected = {
        qemu: /destination QEMU/, lane: /connection between the two agents/, timeout: /longer than/, agent: /agent/,
      }
      assert.match(result.reason!, expected[failure])
      assert.ok(source.control.cancelled, failure)
      assert.equal(source.control.state, 'running')
      for (const agent of agents) await agent.stop()
    }
    assert.ok(existsSync(directory))
  })
})
