import assert from 'node:assert/strict'

import { EndedTally } from '../../../src/agent/endedtally.ts'
import type { History } from '../../../src/agent/history.ts'
import { createMetrics } from '../../../src/agent/metrics.ts'
import type { AgentStatus } from '../../../src/index.ts'
import { progressOf, recordOf, resultOf, STATUS } from '../../support/fakeagent.ts'

const MOVE = { guest: 'web', to: 'host-b' }

function linesOf(text: string): string[] {
  return text.trim().split('\n').filter((line) => !line.startsWith('#'))
}

async function metricsOf(status: AgentStatus): Promise<string[]> {
  return linesOf(await createMetrics(() => status)())
}

describe('metrics', () => {
  it('count handoffs by direction, driver, manager and what they came to', async () => {
    const [direction, status] = ['outgoing', 'completed'] as const
    const lines = await metricsOf({
      ...STATUS,
      handoffs: [
        { direction, driver: 'qmp', ...progressOf(MOVE) },
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
    assert.deepEqual(lines.filter((line) => line.startsWith('pagemesh_handoffs_total')), [
      'pagemesh_handoffs_total{direction="outgoing",driver="relay",status="completed",manager="libvirt"} 3',
      'pagemesh_handoffs_total{direction="outgoing",driver="relay",status="unknown",manager=""} 2',
      'pagemesh_handoffs_total{direction="incoming",driver="qmp",status="failed",manager=""} 1',
    ])
  })

  it('do not grow when they are asked for twice', async () => {
    const ended = [{ direction: 'outgoing', driver: 'qmp', manager: null, status: 'completed', count: 5 }] as const
    const ask = createMetrics(() => ({ ...STATUS, ended: [...ended], handoffs: [] }))
    assert.equal(await ask(), await ask())
  })

  it('have names and help as Prometheus wants them', async () => {
    const text = await createMetrics(() => STATUS)()
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
})
