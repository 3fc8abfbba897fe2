import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  clusterKeyText, createAgent, MemoryNetwork, PAGE_BYTES, type Agent, type HandoffResult,
} from '../../../src/index.ts'
import { keyIdOf } from '../../../src/mesh/index.ts'
import { destinationGuest, memoryOf, sourceGuest } from '../../support/fakeguest.ts'
import { until } from '../../support/meshes.ts'
import { precopyStream } from '../../support/streambuilder.ts'

const SHARED_PAGES = 600
const WAIT_MS = 20_000

describe('guests while the cluster key is rotated', function () {
  this.timeout(4 * WAIT_MS)
  const directory = mkdtempSync(join(tmpdir(), 'pm-rotating-'))
  const [old, key] = [randomBytes(32), randomBytes(32)]
  const [oldId, id] = [keyIdOf(old), keyIdOf(key)]
  const shared = Array.from({ length: SHARED_PAGES }, () => randomBytes(PAGE_BYTES))
  let network: MemoryNetwork
  let agents: Record<'a' | 'b' | 'c' | 'd', Agent>

  const keyFile = (name: string): string => join(directory, `${name}.key`)
  const all = (): Agent[] => Object.values(agents)

  beforeEach(async () => {
    network = new MemoryNetwork()
    const start = async (name: string): Promise<Agent> => {
      writeFileSync(keyFile(name), clusterKeyText(old), { mode: 0o600 })
      const agent = await createAgent({
        name, clusterKey: keyFile(name), runtimeDirectory: join(directory, name),
        store: { path: directory, maxBytes: 2 ** 24 }, census: { intervalSeconds: 1 }, swap: { maxBandwidth: 125e6 },
      }, { mesh: network.createMesh(name) })
      await agent.start()
      agent.addGuest(memoryOf(`of-${name}`, shared))
      return agent
    }
    agents = { a: await start('a'), b: await start('b'), c: await start('c'), d: await start('d') }
  })
  afterEach(async () => {
    for (const agent of all()) await agent.stop()
    for (const name of ['a', 'b', 'c', 'd']) rmSync(`${keyFile(name)}.new`, { recursive: true, force: true })
  })
  after(() => rmSync(directory, { recursive: true, force: true }))

  async function known(): Promise<void> {
    await until(() => all().every((agent) => agent.status().popularity.pages === SHARED_PAGES),
      'all to know what is popular', WAIT_MS)
  }

  /** Begins to hand a guest over; it has what every host has, and some pages of its own. */
  async function move(from: Agent, to: Agent, maxBandwidth?: number): Promise<() => Promise<HandoffResult>> {
    const pages = [...shared, ...Array.from({ length: 400 }, () => randomBytes(PAGE_BYTES))]
    const { bytes } = precopyStream([{ name: 'pc.ram', pages: [...pages, undefined] }])
    const destination = destinationGuest('web', bytes.length)
    to.addGuest(destination.guest)
    from.addGuest(sourceGuest('web', pages, bytes).guest)
    await until(() => from.status().settled && to.status().settled, 'both to have scanned their guests', WAIT_MS)
    const moving = from.migrate({
      guest: 'web', to: to.status().host, ...(maxBandwidth === undefined ? {} : { maxBandwidth }),
    })
    return async () => {
      const result = await moving
      assert.deepEqual([result.reason, result.status, result.digestMatched], [undefined, 'completed', true])
      assert.ok(Buffer.from(bytes).equals(destination.control.received), 'the same bytes arrived')
      from.removeGuest('web')
      to.removeGuest('web')
      return result
    }
  }

  it('move on through every step, and find what hosts have in common again afterwards', async () => {
    await known()
    const former = new Set(agents.d.pages(SHARED_PAGES).map(({ prefix }) => prefix))
    const before = await (await move(agents.a, agents.b))()
    assert.equal(before.pages.ref, SHARED_PAGES)

    const end = await move(agents.a, agents.b, 1e6)
    await until(() => agents.a.status().handoffs.some((one) => one.direction === 'outgoing' && one.wireBytes > 0),
      'the handoff to be under way', WAIT_MS)
    assert.equal((await agents.c.keys({ action: 'install', key })).complete, true)
    assert.equal((await agents.d.keys({ action: 'use', id })).complete, true)
    assert.equal((await agents.c.keys({ action: 'remove', id: oldId })).complete, true)
    assert.equal(agents.a.status().handoffs.length, 1, 'it is under way still')
    assert.equal((await end()).pages.ref, SHARED_PAGES)

    // All is hashed anew, reported and gossiped by owners that are drawn anew.
    await until(() => all().every((agent) => {
      const prefixes = agent.pages(SHARED_PAGES).map(({ prefix }) => prefix)
      return prefixes.length === SHARED_PAGES && !prefixes.some((prefix) => former.has(prefix))
    }), 'all to know what is popular by the new key, and nothing by the old', WAIT_MS)
    for (const agent of all()) assert.equal(agent.status().popularity.refused, 0)
    const after = await (await move(agents.c, agents.d))()
    assert.deepEqual([after.apart, after.pages.ref], [undefined, SHARED_PAGES])
    for (const agent of all()) assert.equal(agent.status().store.damagedPages, 0)
  })

  it('move between a host that uses the new key and one that still uses the old, both ways', async () => {
    await known()
    await agents.a.keys({ action: 'install', key })
    mkdirSync(`${keyFile('b')}.new`)
    const report = await agents.a.keys({ action: 'use', id })
    assert.equal(report.complete, false)
    assert.deepEqual(report.hosts.map(({ host, used }) => [host, used]),
      [['a', id], ['b', oldId], ['c', id], ['d', id]])
    const why = report.hosts[1]?.why ?? ''
    assert.match(why, /^The cluster key could not be written to .*b\.key: .*On that host, let the agent write/)
    for (const [from, to] of [['a', 'b'], ['b', 'a']] as const) {
      const result = await (await move(agents[from], agents[to]))()
      if (from === 'a') assert.equal(result.apart, undefined)
    }
    rmSync(`${keyFile('b')}.new`, { recursive: true })
    assert.equal((await agents.a.keys({ action: 'use', id })).complete, true)
    assert.equal((await agents.a.keys({ action: 'remove', id: oldId })).complete, true)
    await known()
    assert.equal((await (await move(agents.b, agents.a))()).pages.ref, SHARED_PAGES)
  })
})
