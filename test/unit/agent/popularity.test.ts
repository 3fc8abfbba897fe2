import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createAgent, MemoryNetwork, PAGE_BYTES, type Agent } from '../../../src/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { waitFor } from '../../../testnet/index.ts'
import { memoryOf } from '../../support/fakeguest.ts'

const SHARED_PAGES = 300
const WAIT_MS = 30_000

function pagesOf(count: number): Buffer[] {
  return Array.from({ length: count }, () => randomBytes(PAGE_BYTES))
}

describe('agents of one mesh', function () {
  this.timeout(2 * WAIT_MS)
  const directory = mkdtempSync(join(tmpdir(), 'pm-popular-'))
  const network = new MemoryNetwork()
  let agents: Agent[] = []

  before(async () => {
    agents = await Promise.all(['a', 'b'].map(async (name) => await createAgent({
      name, clusterKey: new Uint8Array(32).fill(3), runtimeDirectory: join(directory, name),
      census: { intervalSeconds: 1 }, store: { path: directory, maxBytes: 0 },
    }, { mesh: network.createMesh(name) })))
    for (const agent of agents) await agent.start()
  })
  after(async () => {
    for (const agent of agents) await agent.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  async function known(agent: Agent, pages: number): Promise<void> {
    await waitFor(() => (agent.status().popularity.pages === pages ? true : undefined), {
      clock: systemClock, what: `${agent.status().host} to know ${pages} popular pages`, timeoutMs: WAIT_MS,
    })
  }

  it('know which pages are popular among them, and forget them when they no longer are', async () => {
    const [a, b] = agents as [Agent, Agent]
    assert.deepEqual(a.pages(10), [])
    const shared = pagesOf(SHARED_PAGES)
    a.addGuest(memoryOf('web-1', [...shared, ...pagesOf(50)]))
    a.addGuest(memoryOf('web-2', shared.slice(0, 100)))
    b.addGuest(memoryOf('web-3', [...pagesOf(70), ...shared]))
    await Promise.all([known(a, SHARED_PAGES), known(b, SHARED_PAGES)])
    await waitFor(() => (a.pages(101)[99]!.guests === 3 ? true : undefined), {
      clock: systemClock, what: 'a to count its second guest', timeoutMs: WAIT_MS,
    })
    const pages = a.pages(SHARED_PAGES)
    assert.deepEqual(pages.map(({ guests }) => guests), [...Array<number>(100).fill(3), ...Array<number>(200).fill(2)])
    for (const { prefix, hosts, held, holders } of pages) {
      assert.match(prefix, /^[0-9a-f]{16}$/)
      assert.deepEqual([hosts, held, holders.toSorted()], [2, true, ['a', 'b']])
    }
    const status = a.status()
    assert.ok(status.popularity.bytes > 0 && status.traffic.report.sentBytes > 0)
    assert.equal(status.popularity.refused, 0)
    assert.match(await a.metrics(), /^pagemesh_popularity_pages 300$/m)
    b.removeGuest('web-3')
    await Promise.all([known(a, 0), known(b, 0)])
  })
})
