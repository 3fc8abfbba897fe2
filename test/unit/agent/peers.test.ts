import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createAgent, MemoryNetwork, PAGE_BYTES, type Agent } from '../../../src/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { waitFor } from '../../../testnet/index.ts'
import { destinationGuest, memoryOf, sourceGuest } from '../../support/fakeguest.ts'
import { precopyStream } from '../../support/streambuilder.ts'

const SHARED_PAGES = 2000
const WAIT_MS = 20_000

function pagesOf(count: number): Buffer[] {
  return Array.from({ length: count }, () => randomBytes(PAGE_BYTES))
}

describe('a guest that moves to a host where no other runs', function () {
  this.timeout(3 * WAIT_MS)
  const directory = mkdtempSync(join(tmpdir(), 'pm-peers-'))
  const clusterKey = randomBytes(32)
  let network = new MemoryNetwork()
  let agents: Agent[] = []

  async function start(stores: Record<string, number>): Promise<Agent[]> {
    network = new MemoryNetwork()
    agents = await Promise.all(Object.entries(stores).map(async ([name, maxBytes]) => await createAgent({
      name, clusterKey, runtimeDirectory: join(directory, name), store: { path: directory, maxBytes },
      census: { intervalSeconds: 1 }, swap: { maxBandwidth: 125e6 },
    }, { mesh: network.createMesh(name) })))
    for (const agent of agents) await agent.start()
    return agents
  }

  async function until(what: string, condition: () => boolean): Promise<void> {
    await waitFor(() => (condition() ? true : undefined), { clock: systemClock, what, timeoutMs: WAIT_MS })
  }

  afterEach(async () => {
    for (const agent of agents) await agent.stop()
  })
  after(() => rmSync(directory, { recursive: true, force: true }))

  it('finds there what the mesh has in common, kept unattended beforehand', async () => {
    const [a, b, c] = await start({ a: 0, b: 0, c: 2 ** 25 }) as [Agent, Agent, Agent]
    const shared = pagesOf(SHARED_PAGES)
    const pages = [...shared, ...pagesOf(50)]
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: [...pages, undefined] }])
    const destination = destinationGuest('web', bytes.length)
    a.addGuest(sourceGuest('web', pages, bytes).guest)
    b.addGuest(memoryOf('other', shared))
    c.addGuest(destination.guest)
    await until('c to keep the popular pages', () => c.status().store.pages === SHARED_PAGES && c.status().settled)
    const { placement, traffic } = c.status()
    assert.deepEqual(placement, { wanted: SHARED_PAGES, held: SHARED_PAGES, pending: 0 })
    assert.ok(traffic.swap.receivedBytes > SHARED_PAGES * PAGE_BYTES)
    const result = await a.migrate({ guest: 'web', to: 'c' })
    assert.equal(result.reason, undefined)
    assert.equal(result.refsFilledBy.store, SHARED_PAGES)
    assert.ok(Buffer.from(bytes).equals(destination.control.received))
    const { ledger } = result
    assert.ok(ledger.spentBytes.destination.swap >= traffic.swap.receivedBytes)
    assert.equal(ledger.savedBytes, result.qemuBytes - result.wireBytes - result.receivedWireBytes)
    await until('c to count what it saved', () => c.status().ledger.savedBytes > 0)
  })

  it('has them from another host while it moves, if nothing was kept', async () => {
    const [a, b, c] = await start({ a: 0, b: 0, c: 0 }) as [Agent, Agent, Agent]
    const shared = pagesOf(SHARED_PAGES)
    // What others have comes last in the stream, so that there is time to fetch it.
    const pages = [...pagesOf(4000), ...shared]
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: [...pages, undefined] }])
    const destination = destinationGuest('web', bytes.length)
    a.addGuest(sourceGuest('web', pages, bytes).guest)
    b.addGuest(memoryOf('other', shared))
    c.addGuest(destination.guest)
    // The host that is asked serves what it knows to be popular itself.
    await until('b and c to know what is popular', () => {
      return [b, c].every((agent) => agent.status().popularity.pages === SHARED_PAGES)
    })
    const result = await a.migrate({ guest: 'web', to: 'c', maxBandwidth: 10e6 })
    assert.equal(result.reason, undefined)
    assert.ok(Buffer.from(bytes).equals(destination.control.received))
    assert.ok(result.refsFilledBy.peer > SHARED_PAGES / 2, `${result.refsFilledBy.peer} pages came from peers`)
    assert.ok(result.peerBytes > result.refsFilledBy.peer * PAGE_BYTES)
    assert.ok(b.status().traffic.peers.sentBytes > 0)
    assert.equal(c.status().traffic.swap.receivedBytes, 0)
  })
})
