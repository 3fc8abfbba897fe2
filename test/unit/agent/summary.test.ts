import assert from 'node:assert/strict'

import { Cluster } from '../../../src/agent/cluster.ts'
import type { GuestList } from '../../../src/agent/guestlist.ts'
import { Summaries } from '../../../src/agent/summaries.ts'
import {
  decodeSummary, decodeSummaryRequest, encodeSummary, encodeSummaryRequest, SUMMARY_PROTOCOL, summaryOf, waitingAt,
} from '../../../src/agent/summary.ts'
import type { HandoffRecord } from '../../../src/index.ts'
import { MemoryNetwork, MESSAGE_BYTES_MAX } from '../../../src/mesh/index.ts'
import { HELD, progressOf, resultOf, STATUS } from '../../support/fakeagent.ts'
import { settle } from '../../support/passagerelay.ts'
import { VirtualClock } from '../../support/time.ts'

type ClusterComponents = ConstructorParameters<typeof Cluster>[0]

const MOVE = { guest: 'web', to: 'host-b' }
const RECORD: HandoffRecord = {
  ...resultOf(MOVE, 'completed'), direction: 'outgoing', driver: 'qmp', endedAt: '2026-01-02T03:04:05.000Z',
}
const ABOUT = {
  history: [RECORD, { ...RECORD, status: 'failed' as const, reason: 'x'.repeat(5000) }],
  memory: { totalBytes: 4e9, availableBytes: 3e9 }, parallel: 4, unsettledMs: 0,
  series: [{ agoMs: 9000, savedBytes: -5, spentBytes: 1 }, { agoMs: 0, savedBytes: 7, spentBytes: 2 }],
}
const SUMMARY = summaryOf({
  ...STATUS,
  guests: [...STATUS.guests, { ...STATUS.guests[0]!, name: 'db', state: 'inmigrate' }],
  handoffs: [
    { direction: 'outgoing', driver: 'qmp', ...progressOf(MOVE) },
    { direction: 'outgoing', driver: 'qmp', ...progressOf(MOVE), phase: 'queued', why: 'host-b is full' },
  ],
  held: [HELD],
}, ABOUT)

describe('the summary of a host', () => {
  it('comes over whole, and names what waits there first', () => {
    assert.deepEqual(decodeSummary(encodeSummary(SUMMARY), 'host-a'), SUMMARY)
    assert.deepEqual(SUMMARY.guests.map(({ name }) => name), ['db', 'web<1>'])
    assert.deepEqual(waitingAt(SUMMARY), ['db'])
    assert.equal(SUMMARY.guestCount, 2)
    assert.deepEqual(decodeSummaryRequest(encodeSummaryRequest({ fresh: true })), { fresh: true })
  })

  it('says of digests only what this host knows', () => {
    const said = (more: Partial<HandoffRecord>): boolean | null => summaryOf(STATUS, {
      ...ABOUT, history: [{ ...RECORD, ...more }],
    }).history[0]!.digestMatched
    assert.equal(said({}), true)
    assert.equal(said({ digestMatched: false }), false)
    assert.equal(said({ digestMatched: false, direction: 'incoming' }), null)
    assert.equal(said({ digestMatched: false, qemuBytes: 0 }), null)
  })

  it('tells for how long the host has not been settled, and its ledger over time', async () => {
    const clock = new VirtualClock()
    const mesh = new MemoryNetwork({ clock }).createMesh('a')
    let status = { ...STATUS, settled: false }
    const guests = { refresh: async () => {} } as GuestList
    const cluster = new Cluster(
      { mesh, clock, guests, history: { list: () => [] }, status: () => status } as unknown as ClusterComponents,
      { parallel: 4 },
    )
    await mesh.start()
    const stop = cluster.serve()
    await clock.run(clock.now() + 70_500)
    const [unsettled] = (await clock.complete(cluster.view())).hosts
    assert.equal(unsettled!.unsettledMs, 60_500)
    assert.equal(unsettled!.ledger.series.length, 7)
    status = { ...STATUS, settled: true }
    await clock.run(clock.now() + 10_000)
    assert.equal((await clock.complete(cluster.view())).hosts[0]!.unsettledMs, 0)
    stop()
    await mesh.stop()
  })

  it('speaks for the host alone that was asked', () => {
    assert.equal(decodeSummary(encodeSummary({ ...SUMMARY, host: 'host-c' }), 'host-b').host, 'host-b')
  })

  it('fits a message, however many guests there are', () => {
    const guests = Array.from({ length: 2000 }, (_, index) => (
      { ...STATUS.guests[0]!, name: `guest-${index}-${'x'.repeat(200)}`, state: 'running' as const }))
    const bytes = encodeSummary(summaryOf({ ...STATUS, guests }, ABOUT))
    assert.ok(bytes.length <= MESSAGE_BYTES_MAX)
    const read = decodeSummary(bytes, 'host-a')
    assert.equal(read.guestCount, 2000)
    assert.ok(read.guests.length >= 100)
  })

  it('is refused where a field is missing, odd or absurd', () => {
    const changed = (change: object): Uint8Array => new TextEncoder().encode(JSON.stringify({ ...SUMMARY, ...change }))
    for (const change of [
      { guests: 'many' }, { guests: [null] }, { guests: [{ name: 1 }] }, { guests: Array(513).fill({}) },
      { parallel: -1 }, { parallel: '4' }, { arriving: null }, { memory: undefined }, { version: '' },
      { version: 'x'.repeat(65) }, { history: [{ ...SUMMARY.history[0], status: 'fine' }] },
      { history: [{ ...SUMMARY.history[0], endedAt: 'yesterday' }] }, { held: [{}] }, { store: {} }, { ledger: [] },
      { settled: 1 }, { unsettledMs: -1 }, { held: [{ ...SUMMARY.held[0], isOpen: 'yes' }] },
      { handoffs: [{ ...SUMMARY.handoffs[0], why: 7 }] }, { handoffs: [{ ...SUMMARY.handoffs[0], why: undefined }] },
      { handoffs: [{ ...SUMMARY.handoffs[0], wireBytesPerSecond: 'fast' }] },
      { history: [{ ...SUMMARY.history[0], digestMatched: undefined }] },
      { history: [{ ...SUMMARY.history[0], reason: '' }] },
      { history: [{ ...SUMMARY.history[0], code: 'x'.repeat(65) }] },
      { ledger: { ...SUMMARY.ledger, series: Array(65).fill(ABOUT.series[0]) } },
      { ledger: { ...SUMMARY.ledger, series: [{ agoMs: -1, savedBytes: 0, spentBytes: 0 }] } },
    ]) assert.throws(() => decodeSummary(changed(change), 'host-a'), { code: 'bad-answer', fault: 'peer' })
    for (const bytes of ['', '[]', '{}', '{"version":2,"fresh":true}', '{"version":1}']) {
      assert.throws(() => decodeSummaryRequest(new TextEncoder().encode(bytes)), { code: 'bad-question' })
    }
  })

  it('is asked of all members at once, and those that do not answer are named', async () => {
    const clock = new VirtualClock()
    const network = new MemoryNetwork({ clock })
    const asked: string[] = []
    const meshes = await Promise.all(['a', 'b', 'c', 'd'].map(async (name) => {
      const mesh = network.createMesh(name)
      await mesh.start()
      return { mesh, summaries: new Summaries({ mesh, clock }, {
        own: async (fresh) => {
          asked.push(`${name}${fresh ? ' fresh' : ''}`)
          return { ...SUMMARY, host: name }
        },
      }) }
    }))
    const [a, b, c, d] = meshes as [typeof meshes[0], typeof meshes[0], typeof meshes[0], typeof meshes[0]]
    b.mesh.handle(SUMMARY_PROTOCOL, (stream, from) => b.summaries.answer(stream, from))
    c.mesh.handle(SUMMARY_PROTOCOL, () => new Promise(() => {}))
    d.mesh.handle(SUMMARY_PROTOCOL, async (stream) => {
      await stream.receive()
      await stream.send(new TextEncoder().encode('{"version":1}'))
    })
    const both = [a.summaries.all(), a.summaries.all()]
    await settle()
    await clock.run(clock.now() + 3000)
    const [view, again] = await Promise.all(both)
    assert.equal(view, again)
    assert.deepEqual(view!.hosts.map(({ host }) => host), ['a', 'b'])
    assert.deepEqual(view!.silent.map(({ host }) => host), ['c', 'd'])
    assert.match(view!.silent[0]!.why, /c did not answer in time/)
    assert.match(view!.silent[1]!.why, /cannot be read/)
    assert.deepEqual(asked, ['a', 'b'])
    await a.summaries.fresh(a.mesh.members().filter(({ name }) => name === 'b'))
    assert.deepEqual(asked.slice(2), ['a fresh', 'b fresh'])
    for (const { mesh } of meshes) await mesh.stop()
  })

  it('is told to all others though one asks without end', async () => {
    const clock = new VirtualClock()
    const network = new MemoryNetwork({ clock })
    const meshes = ['a', 'b', 'c'].map((name) => network.createMesh(name))
    const [a, b, c] = meshes as [typeof meshes[0], typeof meshes[0], typeof meshes[0]]
    for (const mesh of meshes) await mesh.start()
    const summaries = new Summaries({ mesh: b, clock }, { own: async () => ({ ...SUMMARY, host: 'b' }) })
    b.handle(SUMMARY_PROTOCOL, (stream, from) => summaries.answer(stream, from))
    for (let count = 0; count < 40; count++) await c.open('b', SUMMARY_PROTOCOL, new AbortController().signal)
    const asking = new Summaries({ mesh: a, clock }, { own: async () => ({ ...SUMMARY, host: 'a' }) })
    const { hosts } = await asking.fresh(a.members().filter(({ name }) => name === 'b'))
    assert.deepEqual(hosts.map(({ host }) => host), ['a', 'b'])
    await clock.run(3000)
    for (const mesh of meshes) await mesh.stop()
  })
})
