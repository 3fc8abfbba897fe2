import assert from 'node:assert/strict'

import { mayLive, readUnsettled, type Unsettled } from '../../../src/agent/unsettled.ts'
import { readStartTicks } from '../../../src/guest/index.ts'
import { UNDO } from '../../support/fakeguest.ts'

const OWN = { pid: process.pid, startTicks: readStartTicks(process.pid)! }
const OUTGOING: Unsettled = {
  role: 'outgoing', as: 'given-up', guest: 'web', other: 'b', mode: 'precopy', runState: 'running',
}
const INCOMING: Unsettled = {
  role: 'incoming', as: 'loaded', guest: 'web', other: 'a', mode: 'postcopy', runState: 'unknown',
  process: OWN, undo: UNDO,
}

describe('a record of a handoff that is not settled', () => {
  it('is read as it was written, through JSON', () => {
    const records: Unsettled[] = [
      OUTGOING, INCOMING,
      ...(['moving', 'taking-back', 'kept', 'cut', 'orphaned'] as const).map((as) => ({ ...OUTGOING, as })),
      ...(['loading', 'unfit', 'broken', 'arrived', 'cut'] as const).map((as) => ({ ...INCOMING, as })),
    ]
    for (const record of records) assert.deepEqual(readUnsettled(JSON.parse(JSON.stringify(record))), record)
  })

  const odd: Record<string, unknown> = {
    'no object': 7, 'nothing': null, 'no role': { ...OUTGOING, role: undefined }, 'another role': {
      ...OUTGOING, role: 'both',
    },
    'what only the other end is': { ...OUTGOING, as: 'loaded' }, 'what only this end is': {
      ...INCOMING, as: 'given-up',
    },
    'no name': { ...OUTGOING, guest: undefined }, 'no other host': { ...OUTGOING, other: 5 },
    'no run state': { ...OUTGOING, runState: null }, 'no mode': { ...OUTGOING, mode: 'warm' },
    'a process without a start': { ...OUTGOING, process: { pid: 5 } }, 'a process without a pid': {
      ...OUTGOING, process: { startTicks: 5 },
    },
    'no process': { ...OUTGOING, process: null }, 'an undo that is none': { ...OUTGOING, undo: 'x' },
    'no undo': { ...OUTGOING, undo: null }, 'knowledge that is none': { ...OUTGOING, knowledge: { pages: 1 } },
  }
  for (const [what, value] of Object.entries(odd)) {
    it(`is none with ${what}`, () => assert.equal(readUnsettled(value), undefined))
  }

  it('is of a guest that may live while its process does, or where it is none', () => {
    assert.ok(mayLive(OUTGOING))
    assert.ok(mayLive(INCOMING))
    assert.ok(!mayLive({ ...INCOMING, process: { ...OWN, startTicks: OWN.startTicks + 1 } }))
  })
})
