import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createAgent, MemoryNetwork, PAGE_BYTES, type Agent, type HandoffResult } from '../../../src/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { RECORD_BYTES, SLOT_BYTES } from '../../../src/store/format.ts'
import { waitFor } from '../../../testnet/index.ts'
import { destinationGuest, sourceGuest } from '../../support/fakeguest.ts'
import { precopyStream } from '../../support/streambuilder.ts'

const PAGES = 700

describe('a guest that comes back', () => {
  const directory = mkdtempSync(join(tmpdir(), 'pm-comeback-'))
  const clusterKey = randomBytes(32)
  let network: MemoryNetwork
  let agents: Agent[] = []
  let laterMs = 0
  const clock = { ...systemClock, wallTime: () => systemClock.wallTime() + laterMs }

  async function start(name: string, maxBytes = 64 * 2 ** 20): Promise<Agent> {
    const agent = await createAgent({
      name, clusterKey, runtimeDirectory: join(directory, name), store: { path: directory, maxBytes },
      census: { intervalSeconds: 1 },
    }, { clock, mesh: network.createMesh(name) })
    await agent.start()
    agents.push(agent)
    return agent
  }

  async function settled(...all: Agent[]): Promise<void> {
    await waitFor(() => (all.every((agent) => agent.status().settled) ? true : undefined), {
      clock: systemClock, what: 'the agents to settle', timeoutMs: 10_000,
    })
  }

  /** Hands a guest of these pages over, and takes it away from both agents again. */
  async function move(from: Agent, to: Agent, pages: Buffer[]): Promise<HandoffResult> {
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: [...pages, undefined] }])
    const destination = destinationGuest('web', bytes.length)
    to.addGuest(destination.guest)
    from.addGuest(sourceGuest('web', pages, bytes).guest)
    await settled(from, to)
    const result = await from.migrate({ guest: 'web', to: to.status().host })
    assert.equal(result.reason, undefined)
    assert.ok(Buffer.from(bytes).equals(destination.control.received))
    from.removeGuest('web')
    to.removeGuest('web')
    return result
  }

  beforeEach(() => { network = new MemoryNetwork() })
  afterEach(async () => {
    for (const agent of agents) await agent.stop()
    agents = []
    rmSync(directory, { recursive: true, force: true })
  })

  it('finds what it left in the store, also after a restart', async () => {
    const pages = Array.from({ length: PAGES }, () => randomBytes(PAGE_BYTES))
    const [a, b] = [await start('a'), await start('b')]
    const away = await move(a, b, pages)
    assert.equal(away.pages.literal, PAGES)
    assert.equal(a.status().store.pages, PAGES)
    assert.deepEqual(a.status().placement, { wanted: PAGES, held: PAGES, pending: 0 })
    await a.stop()
    const again = await start('a')
    const changed = pages.map((page, index) => (index < 50 ? randomBytes(PAGE_BYTES) : page))
    const home = await move(b, again, changed)
    assert.equal(home.refsFilledBy.store, PAGES - 50)
    assert.equal(home.pages.literal, 50)
  })

  it('gets the right pages from a store that was damaged meanwhile', async () => {
    const pages = Array.from({ length: PAGES }, () => randomBytes(PAGE_BYTES))
    const [a, b] = [await start('a'), await start('b')]
    await move(a, b, pages)
    truncateSync(join(directory, 'a.pages', 'pages.slab'), 300 * SLOT_BYTES)
    const home = await move(b, a, pages)
    assert.ok(home.refsFilledBy.store > 0 && home.refsFilledBy.source > 0)
    assert.equal(home.refsFilledBy.store + home.refsFilledBy.source, PAGES)
    assert.equal(a.status().store.damagedPages, home.refsFilledBy.source)
  })

  it('displaces what others left before it, the oldest first', async () => {
    const [a, b] = [await start('a', 4 * 2 ** 20), await start('b', 0)]
    const roomPages = Math.floor(4 * 2 ** 20 / (SLOT_BYTES + RECORD_BYTES))
    await move(a, b, Array.from({ length: PAGES }, () => randomBytes(PAGE_BYTES)))
    // Ages are counted in seconds.
    laterMs += 2000
    const last = Array.from({ length: PAGES }, () => randomBytes(PAGE_BYTES))
    await move(a, b, last)
    assert.ok(a.status().store.pages <= roomPages)
    const home = await move(b, a, last)
    assert.equal(home.refsFilledBy.store, PAGES)
    assert.equal(b.status().store.pages, 0)
  })
})
