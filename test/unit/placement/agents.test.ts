import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createAgent, MemoryNetwork, PAGE_BYTES, type Agent } from '../../../src/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { waitFor } from '../../../testnet/index.ts'
import { memoryOf } from '../../support/fakeguest.ts'

const SHARED_PAGES = 3000
const WAIT_MS = 60_000

function pagesOf(count: number): Buffer[] {
  return Array.from({ length: count }, () => randomBytes(PAGE_BYTES))
}

describe('a host without guests', function () {
  this.timeout(3 * WAIT_MS)
  const directory = mkdtempSync(join(tmpdir(), 'pm-placement-'))
  const network = new MemoryNetwork()
  const agents: Agent[] = []

  async function start(name: string, maxBytes: number): Promise<Agent> {
    const agent = await createAgent({
      name, clusterKey: new Uint8Array(32).fill(3), runtimeDirectory: join(directory, name),
      census: { intervalSeconds: 1 }, store: { path: directory, maxBytes },
    }, { mesh: network.createMesh(name) })
    agents.push(agent)
    await agent.start()
    return agent
  }

  after(async () => {
    for (const agent of agents) await agent.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  it('is settled once it keeps what is popular in the mesh', async () => {
    const [a, b] = [await start('a', 2 ** 26), await start('b', 2 ** 26)]
    const shared = pagesOf(SHARED_PAGES)
    const zeros = Array.from({ length: 50 }, () => Buffer.alloc(PAGE_BYTES))
    a.addGuest(memoryOf('web-1', [...shared, ...pagesOf(500), ...zeros]))
    b.addGuest(memoryOf('web-2', [...pagesOf(700), ...shared, ...zeros]))
    await waitFor(() => (a.status().popularity.pages === SHARED_PAGES ? true : undefined), {
      clock: systemClock, what: 'pages to be popular', timeoutMs: WAIT_MS,
    })
    const c = await start('c', 2 ** 26)
    assert.equal(c.status().settled, false, 'others may know what is popular')
    await waitFor(() => (c.status().settled ? true : undefined), {
      clock: systemClock, what: 'c to settle', timeoutMs: WAIT_MS,
    })
    const { placement, store, traffic } = c.status()
    assert.deepEqual(placement, { wanted: SHARED_PAGES, held: SHARED_PAGES, pending: 0 })
    assert.equal(store.pages, SHARED_PAGES)
    assert.ok(traffic.swap.receivedBytes > 0)
    for (const agent of [a, b]) assert.equal(agent.status().store.pages, 0, 'what is resident needs no keeping')
  })
})
