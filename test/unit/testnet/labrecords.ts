/** Records of runs that never were, for the tests of what judges and shows them. */
import type { MoveRecord, RunRecord } from '../../../testnet/lab/record.ts'

/** One guest, moved once, all well. */
export function goodRecord(): RunRecord {
  return {
    scenario: 'good', durationMs: 12_300, events: [], moves: [goodMove()], doubles: [],
    guests: [{ name: 'one', host: 'b', runsOn: ['b'], seenOn: ['b'], isAlive: true }],
    agents: [{ host: 'a', isSettled: true, rendezvous: [] }, { host: 'b', isSettled: true, rendezvous: [] }],
  }
}

export function goodMove(): MoveRecord {
  return {
    guest: 'one', from: 'a', to: 'b', mode: 'precopy', beganAtMs: 1000, endedAtMs: 3000,
    planned: { ends: 'completed', isCompared: true }, exitStatus: 0, errors: '',
    result: {
      status: 'completed', digestMatched: true, totalMs: 2000,
      qemuBytes: 100e6, wireBytes: 19e6, receivedWireBytes: 1e6,
      refsFilledBy: { sentBefore: 0, resident: 0, store: 1000, peer: 0, source: 0 },
    },
    comparison: { comparedBytes: 2 ** 27, differences: [] }, beats: { before: 7, after: 9 },
  }
}
