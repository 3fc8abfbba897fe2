import assert from 'node:assert/strict'

import { EndedTally } from '../../../src/agent/endedtally.ts'
import type { History } from '../../../src/agent/history.ts'
import { createMetrics } from '../../../src/agent/metrics.ts'
import type { AgentStatus } from '../../../src/index.ts'
import { FakeAgent, progressOf, recordOf, resultOf, STATUS } from '../../support/fakeagent.ts'

const MOVE = { guest: 'web', to: 'host-b' }

function linesOf(text: string): string[] {
  return text.trim().split('\n').filter((line) => !line.startsWith('#'))
}

async function metricsOf(status: AgentStatus): Promise<string[]> {
  return linesOf(await createMetrics(() => status, {})())
}

describe('metrics', () => {
  it('count handoffs by direction, driver, manager and what they came to', async () => {
    const [direction, status] = ['outgoing', 'completed'] as const
    const lines = await metricsOf({
      ...STATUS,
      handoffs: [
        { direction, driver: 'qmp', ...progressOf(MOVE) },
        { direction, driver: 'qmp', ...progressOf({ ...MOVE, guest: 'next' }), phase: 'queued' },
        {
          direction: 'incoming', driver: 'relay', guest: 'db', from: 'host-b', to: 'host-a', address: '10.0.0.1:49152',
          manager: 'libvirt', phase: 'relaying', streamBytes: 1, wireBytes: 1,
        },
      ],
      ended: [
        { direction, driver: 'relay', manager: 'libvirt', status, count: 3 },
        { direction, driver: 'relay', manager: null, status: 'unknown', count: 2 },
        { direction: 'incoming', driver: 'qmp', manager: null, status: 'failed', count: 1 },
      ],
    })
    assert.deepEqual(lines.filter((line) => line.startsWith('pagemesh_handoffs_running')), [
      'pagemesh_handoffs_running{direction="outgoing",driver="qmp"} 1',
      'pagemesh_handoffs_running{direction="outgoing",driver="relay"} 0',
      'pagemesh_handoffs_running{direction="incoming",driver="qmp"} 0',
      'pagemesh_handoffs_running{direction="incoming",driver="relay"} 1',
    ])
    assert.ok(lines.includes('pagemesh_handoffs_queued 1'))
    assert.deepEqual(lines.filter((line) => line.startsWith('pagemesh_handoffs_total')), [
      'pagemesh_handoffs_total{direction="outgoing",driver="relay",status="completed",manager="libvirt"} 3',
      'pagemesh_handoffs_total{direction="outgoing",driver="relay",status="unknown",manager=""} 2',
      'pagemesh_handoffs_total{direction="incoming",driver="qmp",status="failed",manager=""} 1',
    ])
  })

  it('tell what is kept, what is held back and what runs', async () => {
    const { heldGuests } = new FakeAgent()
    const text = await metricsOf({
      ...STATUS, held: heldGuests, store: { pages: 3, bytes: 12_288, maxBytes: 1e6, damagedPages: 1 },
      placement: { wanted: 5, held: 3, pending: 2 },
    })
    for (const line of [
      'pagemesh_info{version="9.9.9",kernel="avx2"} 1', 'pagemesh_guests_held 1',
      'pagemesh_guests_held_oldest_seconds 300', 'pagemesh_guests_unusable 0', 'pagemesh_store_pages 3',
      'pagemesh_store_bytes 12288', 'pagemesh_store_limit_bytes 1000000', 'pagemesh_store_damaged_pages_total 1',
      'pagemesh_placement_wanted_pages 5', 'pagemesh_placement_held_pages 3', 'pagemesh_placement_pending_pages 2',
      'pagemesh_popularity_view_age_seconds 5', 'pagemesh_census_interval_seconds 60',
    ]) assert.ok(text.includes(line), line)
  })

  it('tell how pages travelled, and whether they were right', async () => {
    const text = await metricsOf({
      ...STATUS,
      passages: {
        qemuBytes: 100, wireBytes: 30, pages: { zero: 1, ref: 2, literal: 3 }, digestMismatches: 1,
        refsFilledBy: { sentBefore: 1, resident: 2, store: 3, peer: 4, source: 5 },
      },
    })
    for (const line of [
      'pagemesh_passage_qemu_bytes_total 100', 'pagemesh_passage_wire_bytes_total 30',
      'pagemesh_passage_pages_total{form="ref"} 2', 'pagemesh_passage_pages_total{form="literal"} 3',
      'pagemesh_passage_refs_total{source="peer"} 4', 'pagemesh_digest_mismatches_total 1',
    ]) assert.ok(text.includes(line), line)
  })

  it('name guests only where that was asked for', async () => {
    const handoffs = ['web', 'db'].map((guest) =>
      ({ direction: 'outgoing' as const, driver: 'qmp' as const, ...progressOf({ ...MOVE, guest }) }))
    const status = { ...STATUS, handoffs }
    const plain = await metricsOf(status)
    assert.ok(plain.includes('pagemesh_migration_data_processed_bytes 512000000'), 'the sum of both')
    assert.ok(plain.every((line) => !/name=|web|db/.test(line)))
    const named = linesOf(await createMetrics(() => status, { metrics: { guestNames: true } })())
    for (const line of [
      'pagemesh_migration_data_processed_bytes{name="web"} 256000000',
      'pagemesh_migration_wire_bytes{name="db"} 32000000',
      'pagemesh_migration_data_remaining_bytes{name="db"} 9000000', 'pagemesh_guest_resident_pages{name="web<1>"} 1000',
      'pagemesh_guest_distinct_pages{name="web<1>"} 900',
    ]) assert.ok(named.includes(line), line)
    const after = linesOf(await createMetrics(() => STATUS, {})())
    assert.ok(after.includes('pagemesh_migration_data_processed_bytes 0'))
  })

  it('do not grow when they are asked for twice', async () => {
    const ended = [{ direction: 'outgoing', driver: 'qmp', manager: null, status: 'completed', count: 5 }] as const
    const ask = createMetrics(() => ({ ...STATUS, ended: [...ended], handoffs: [] }), {})
    assert.equal(await ask(), await ask())
  })

  it('have names and help as Prometheus wants them', async () => {
    const text = await createMetrics(() => STATUS, {})()
    const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)]
    assert.ok(types.length > 20)
    for (const [, name = '', type = ''] of types) {
      assert.match(name, /^pagemesh_[a-z]+(_[a-z]+)*$/)
      assert.equal(name.endsWith('_total'), type === 'counter', name)
      assert.match(text, new RegExp(`^# HELP ${name} [A-Z].*\\.$`, 'm'))
      assert.doesNotMatch(name, /_(ms|kb|mb|percent|count)$/)
    }
  })
})

describe('the count of handoffs that have ended', () => {
  const added: unknown[] = []
  const history: History = {
    start: async () => {}, add: async (...words) => { added.push(words) },
    list: () => [recordOf(resultOf(MOVE, 'failed'))],
  }

  it('tells them apart by what they were, and hands each on', async () => {
    const tally = new EndedTally()
    const counted = tally.over(history)
    await counted.add(resultOf(MOVE, 'completed'), { direction: 'outgoing' })
    for (let count = 0; count < 2; count++) {
      await counted.add(resultOf(MOVE, 'failed'), { direction: 'incoming', driver: 'relay', manager: 'proxmox' })
    }
    await counted.add(resultOf(MOVE, 'failed'), { direction: 'incoming', driver: 'relay' })
    const by = { direction: 'incoming', driver: 'relay', status: 'failed' }
    assert.deepEqual(tally.counts(), [
      { direction: 'outgoing', driver: 'qmp', manager: null, status: 'completed', count: 1 },
      { ...by, manager: 'proxmox', count: 2 },
      { ...by, manager: null, count: 1 },
    ])
    assert.equal(added.length, 4)
    assert.equal(counted.list().length, 1)
  })

  it('sums the streams of guests that left, and those that did not come out right', async () => {
    const tally = new EndedTally()
    const counted = tally.over(history)
    const completed = resultOf(MOVE, 'completed')
    await counted.add(completed, { direction: 'outgoing' })
    await counted.add({ ...completed, digestMatched: false }, { direction: 'outgoing' })
    await counted.add({ ...completed, digestMatched: false }, { direction: 'outgoing', driver: 'relay' })
    await counted.add({ ...completed, digestMatched: false }, { direction: 'incoming' })
    await counted.add({ ...resultOf(MOVE, 'failed'), code: 'digest-mismatch' }, { direction: 'incoming' })
    await counted.add({ ...resultOf(MOVE, 'failed'), digestMatched: false }, { direction: 'outgoing' })
    assert.deepEqual(tally.sums(), {
      qemuBytes: 4 * 256e6, wireBytes: 4 * 32e6, pages: { zero: 160, ref: 200, literal: 40 }, digestMismatches: 2,
      refsFilledBy: { sentBefore: 20, resident: 180, store: 0, peer: 0, source: 0 },
    })
  })
})
