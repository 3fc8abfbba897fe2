import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  createAgent, MemoryNetwork, PAGE_BYTES, type Agent, type AgentOptions, type HandoffResult,
} from '../../../src/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { waitFor } from '../../../testnet/index.ts'
import { destinationGuest, memoryOf, sourceGuest } from '../../support/fakeguest.ts'
import { precopyStream } from '../../support/streambuilder.ts'

const SHARED_PAGES = 500
const OWN_PAGES = 500
const WAIT_MS = 20_000

/** Pages each unlike the others, of which compression leaves a half. */
function pagesOf(count: number): Buffer[] {
  return Array.from({ length: count }, () => {
    const half = randomBytes(PAGE_BYTES / 2)
    return Buffer.concat([half, half])
  })
}

describe('what an operator may leave out of handoffs', function () {
  this.timeout(3 * WAIT_MS)
  const directory = mkdtempSync(join(tmpdir(), 'pm-switches-'))
  let agents: Agent[] = []

  afterEach(async () => {
    for (const agent of agents) await agent.stop()
  })
  after(() => rmSync(directory, { recursive: true, force: true }))

  /** Moves a guest of which half is common from a to `to`: b holds that half in a guest, c holds nothing. */
  async function move(to: 'b' | 'c', handoff: NonNullable<AgentOptions['handoff']>): Promise<HandoffResult> {
    const network = new MemoryNetwork()
    const clusterKey = randomBytes(32)
    agents = await Promise.all(['a', 'b', 'c'].map(async (name) => await createAgent({
      name, clusterKey, handoff, runtimeDirectory: join(directory, name), store: { path: directory, maxBytes: 0 },
      census: { intervalSeconds: 1 },
    }, { mesh: network.createMesh(name) })))
    const [a, b, c] = agents as [Agent, Agent, Agent]
    for (const agent of agents) await agent.start()
    const shared = pagesOf(SHARED_PAGES)
    const pages = [...pagesOf(OWN_PAGES), ...shared]
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: [...pages, undefined] }])
    const destination = destinationGuest('web', bytes.length)
    a.addGuest(sourceGuest('web', pages, bytes).guest)
    b.addGuest(memoryOf('other', shared))
    const host = to === 'b' ? b : c
    host.addGuest(destination.guest)
    await waitFor(() => (host.status().popularity.pages === SHARED_PAGES && host.status().settled ? true : undefined), {
      clock: systemClock, what: 'the destination to know what is popular', timeoutMs: WAIT_MS,
    })
    const result = await a.migrate({ guest: 'web', to, maxBandwidth: 5e6 })
    assert.equal(result.reason, undefined)
    assert.ok(Buffer.from(bytes).equals(destination.control.received))
    return result
  }

  it('is nothing, unless told', async () => {
    const { pages, refsFilledBy, literalBytes, literalWireBytes } = await move('b', {})
    assert.deepEqual([pages.ref, refsFilledBy.resident], [SHARED_PAGES, SHARED_PAGES])
    assert.ok(literalWireBytes < literalBytes * 0.6)
  })

  it('can be references', async () => {
    const { pages, literalBytes, literalWireBytes } = await move('b', { references: false })
    assert.deepEqual([pages.ref, pages.literal], [0, OWN_PAGES + SHARED_PAGES])
    assert.ok(literalWireBytes < literalBytes * 0.6)
  })

  it('can be compression', async () => {
    const { pages, literalBytes, literalWireBytes } = await move('b', { compression: false })
    assert.deepEqual([pages.ref, pages.literal], [SHARED_PAGES, OWN_PAGES])
    assert.equal(literalWireBytes, literalBytes)
  })

  it('can be what other hosts have', async () => {
    const { refsFilledBy, peerBytes } = await move('c', { peers: false })
    assert.deepEqual([refsFilledBy.peer, peerBytes], [0, 0])
    for (const agent of agents) await agent.stop()
    assert.ok((await move('c', {})).peerBytes > 0)
  })
})
