import assert from 'node:assert/strict'

import type { AgentStatus } from '../../../src/index.ts'
import { judge } from '../../../testnet/lab/assertions/judge.ts'
import type { RunRecord } from '../../../testnet/lab/record.ts'
import type { Expectation } from '../../../testnet/lab/scenario.ts'
import { goodMove, goodRecord } from './labrecords.ts'

/** What is found wrong with a record. */
function faultsOf(change: (record: RunRecord) => void, ...expect: Expectation[]): string[] {
  const record = goodRecord()
  change(record)
  return judge({ expect }, record).flatMap(({ faults }) => faults)
}

describe('the lab\'s assertions, on every run', () => {
  it('hold where all is well', () => {
    assert.deepEqual(faultsOf(() => {}), [])
  })

  const wrongs: Record<string, { change: (record: RunRecord) => void; says: RegExp }> = {
    'a guest that stands still': {
      change: ({ guests }) => { guests[0]!.isAlive = false }, says: /^one does not run on b$/,
    },
    'a guest that runs nowhere': {
      change: ({ guests }) => { guests[0]!.runsOn = [] }, says: /^one runs on no host, not on b$/,
    },
    'a guest that runs at both ends': {
      change: ({ guests }) => { guests[0]!.runsOn = ['a', 'b'] }, says: /^one runs on a and b, not on b$/,
    },
    'an agent that believes its guest is still there': {
      change: ({ guests }) => { guests[0]!.seenOn = ['a'] }, says: /^agents see one on a, not on b$/,
    },
    'a guest that crashed with its host and runs all the same': {
      change: ({ guests }) => {
        delete guests[0]!.host
        guests[0]!.seenOn = []
      },
      says: /^one runs on b, not on no host$/,
    },
    'a moment at which a guest ran twice': {
      change: ({ doubles }) => { doubles.push('one runs on a and on b at 2.0 s') }, says: /^one runs on a and on b/,
    },
    'a migration that failed': {
      change: ({ moves }) => Object.assign(moves[0]!, { exitStatus: 1, result: { status: 'failed', reason: 'No.' } }),
      says: /one from a to b \(precopy\) ended failed \(1\): No\. It had to be completed\./,
    },
    'a command whose exit status belies its result': {
      change: ({ moves }) => { moves[0]!.exitStatus = 1 }, says: /ended completed \(1\)/,
    },
    'a migration that had to fail': {
      change: ({ moves }) => { moves[0]!.planned.ends = 'failed' }, says: /It had to be failed\./,
    },
    'a failure that is not named': {
      change: ({ moves }) => Object.assign(moves[0]!, {
        planned: { ends: 'failed', because: 'the link', isCompared: true }, exitStatus: 1,
        result: { status: 'failed', reason: 'Something.' },
      }),
      says: /The reason had to say "the link"\./,
    },
    'digests that differ': {
      change: ({ moves }) => { moves[0]!.result!.digestMatched = false }, says: /the digests differ/,
    },
    'memory that differs': {
      change: ({ moves }) => { moves[0]!.comparison!.differences.push('3 pages of pc.ram differ') },
      says: /^one from a to b \(precopy\): 3 pages of pc\.ram differ$/,
    },
    'memory that nobody compared': {
      change: ({ moves }) => { delete moves[0]!.comparison }, says: /nothing was compared/,
    },
    'a guest that began anew': {
      change: ({ moves }) => { moves[0]!.beats!.after = 2 }, says: /heartbeat 7, then 2/,
    },
    'an agent that does not settle': {
      change: ({ agents }) => { agents[1]!.isSettled = false }, says: /^b does not answer$/,
    },
    'a place where a QEMU and an agent met': {
      change: ({ agents }) => { agents[0]!.rendezvous.push('handoff-1') }, says: /^a has left handoff-1$/,
    },
    'a handoff that never ends': {
      change: ({ agents }) => {
        agents[0]!.status = { handoffs: [{ guest: 'one' }] } as unknown as AgentStatus
      },
      says: /^a still hands over one$/,
    },
  }
  for (const [title, { change, says }] of Object.entries(wrongs)) {
    it(`find ${title}`, () => {
      const faults = faultsOf(change)
      assert.equal(faults.length, 1, faults.join('; '))
      assert.match(faults[0]!, says)
    })
  }

  it('do not ask for a comparison where the guest goes on by itself', () => {
    assert.deepEqual(faultsOf(({ moves }) => {
      delete moves[0]!.comparison
      moves[0]!.planned.isCompared = false
    }), [])
  })
})

describe('the lab\'s assertions, asked for by a scenario', () => {
  it('know what stayed off the wire, both ways', () => {
    assert.deepEqual(faultsOf(() => {}, { that: 'saved-at-least', share: 0.8 }), [])
    assert.deepEqual(faultsOf(() => {}, { that: 'saved-at-least', share: 0.81 }), ['it is 80 %'])
    // Nothing moved, so nothing was saved.
    assert.equal(faultsOf(({ moves }) => { moves.pop() }, { that: 'saved-at-least', share: 0 }).length, 1)
  })

  it('know what cost more than QEMU alone', () => {
    const dear = ({ moves }: RunRecord): void => { moves[0]!.result!.wireBytes = 105e6 }
    assert.deepEqual(faultsOf(() => {}, { that: 'no-worse-than-plain', ratio: 1.02 }), [])
    assert.deepEqual(faultsOf(dear, { that: 'no-worse-than-plain', ratio: 1.02 }),
      ['one from a to b (precopy) takes 1.060'])
  })

  it('count the moves of each guest, those that completed', () => {
    assert.deepEqual(faultsOf(() => {}, { that: 'every-guest-moved', times: 1 }), [])
    assert.deepEqual(faultsOf(() => {}, { that: 'every-guest-moved', times: 2 }), ['one moved 1 times'])
  })

  it('see whether moves overlapped', () => {
    const second = (beganAtMs: number) => ({ moves }: RunRecord): void => {
      moves.push({ ...goodMove(), beganAtMs, endedAtMs: beganAtMs + 1000 })
    }
    assert.deepEqual(faultsOf(second(2999), { that: 'moves-overlapped' }), [])
    assert.deepEqual(faultsOf(second(3000), { that: 'moves-overlapped' }), ['one had ended when another began'])
    assert.deepEqual(faultsOf(() => {}, { that: 'moves-overlapped' }), ['fewer than two completed'])
  })

  it('see what came from the store', () => {
    assert.deepEqual(faultsOf(() => {}, { that: 'filled-from-store', pages: 1000 }), [])
    assert.deepEqual(faultsOf(() => {}, { that: 'filled-from-store', pages: 1001 }), ['it has 1000'])
  })

  it('see whether views agree, and that somebody looked', () => {
    const agreeing = (share: number) => (record: RunRecord): void => { record.viewAgreement = share }
    assert.deepEqual(faultsOf(agreeing(0.97), { that: 'views-agree', share: 0.97 }), [])
    assert.deepEqual(faultsOf(agreeing(0.5), { that: 'views-agree', share: 0.97 }), ['they have 50.0 %'])
    assert.deepEqual(faultsOf(() => {}, { that: 'views-agree', share: 0.97 }), ['they were not compared'])
  })

  it('see a store that is empty, or beyond its limit', () => {
    const keeping = (pages: number, bytes: number) => ({ agents }: RunRecord): void => {
      agents[0]!.status = { handoffs: [], store: { pages, bytes, maxBytes: 8192 } } as unknown as AgentStatus
    }
    assert.deepEqual(faultsOf(keeping(2, 8192), { that: 'keeps-within-limit', host: 'a' }), [])
    assert.deepEqual(faultsOf(keeping(0, 0), { that: 'keeps-within-limit', host: 'a' }), ['it keeps none'])
    assert.deepEqual(faultsOf(keeping(3, 12_288), { that: 'keeps-within-limit', host: 'a' }),
      ['it keeps 12288 of 8192 bytes'])
  })
})
