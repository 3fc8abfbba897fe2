import assert from 'node:assert/strict'

import type { Reason } from '../../../src/conversation/conversation.ts'
import type { IncomingSummary } from '../../../src/conversation/index.ts'
import type { OutgoingEnding } from '../../../src/conversation/outgoingstate.ts'
import { phaseOf } from '../../../src/handoff/sourcewatch.ts'
import { OutgoingTally } from '../../../src/handoff/tally.ts'
import { wordsOf } from '../../../src/handoff/words.ts'
import type { OutgoingPassageCounts } from '../../../src/passage/index.ts'
import { failedResult } from '../../../src/transfer/index.ts'
import { SPENT } from '../../support/bothends.ts'
import { VirtualClock } from '../../support/time.ts'

const ABOUT = { guest: 'web', from: 'a', to: 'b', mode: 'precopy' } as const
const WHERE = { ...ABOUT, here: 'running' } as const
const REASON: Reason = { code: 'unexpected', message: 'It is odd.', fault: 'guest', advice: 'Look.' }
const COUNTS: OutgoingPassageCounts = {
  streamBytes: 1000, zero: 1, ref: 2, sentBefore: 3, literal: 4, rawBytes: 50, literalWireBytes: 60, sentBytes: 70,
  receivedBytes: 8,
}
const SUMMARY: IncomingSummary = {
  streamBytes: 2000, refsFilledBy: { sentBefore: 1, resident: 2, store: 3, peer: 4, source: 0 }, peerBytes: 30,
  releaseMs: 12, spent: SPENT,
}
const NOTHING = { sentBytes: 0, receivedBytes: 0, channels: [], urgentBytes: 0, spent: SPENT }
const QEMU = {
  status: 'completed', transferredBytes: 0, remainingBytes: 0, totalBytes: 0, dirtySyncCount: 1,
  dirtyBytesPerSecond: 0, downtimeMs: 5,
}

function tallied(mode: 'precopy' | 'postcopy' = 'precopy'): { clock: VirtualClock; tally: OutgoingTally } {
  const clock = new VirtualClock()
  return { clock, tally: new OutgoingTally({ clock }, { ...ABOUT, mode }) }
}

describe('the words for how a handoff ended', () => {
  it('say that it completed, and as what it arrived', () => {
    const ending: OutgoingEnding = { as: 'completed', state: 'paused', summary: undefined }
    assert.deepEqual(wordsOf(ending, WHERE), { status: 'completed', arrivedState: 'paused' })
    assert.deepEqual(wordsOf({ as: 'estimated' }, WHERE), { status: 'completed', arrivedState: null })
  })

  const places: [OutgoingEnding, RegExp][] = [
    [{ as: 'kept', reason: REASON }, /^It is odd\. Look\. The guest runs on at the source, a\.$/],
    [{ as: 'held', reason: REASON }, /web runs nowhere\. If b holds its copy, `pagemesh settle web` there .* at a run/],
    [{ as: 'cut', reason: REASON },
      /web had switched over: end neither QEMU\. `pagemesh recover web` on a resumes it\.$/],
    [{ as: 'lost', reason: REASON }, /No whole copy of the guest is left\.$/],
    [{ as: 'undecided', reason: REASON },
      /What became of web is not known.* b holds its copy, if it is whole, and asks a/],
    [{ as: 'orphaned', reason: REASON },
      /If the copy at b is whole it is the guest, and b lets it run .* it reaches a;/],
  ]
  for (const [ending, words] of places) {
    it(`say where the guest is: ${ending.as}`, () => {
      const { reason, ...rest } = wordsOf(ending, WHERE)
      assert.match(reason!, words)
      assert.ok(reason!.startsWith('It is odd. Look. '))
      assert.deepEqual(rest, { status: 'failed', code: 'unexpected', arrivedState: null })
    })
  }

  it('say that nobody has confirmed, and to leave the source QEMU alone', () => {
    const { reason, ...rest } = wordsOf({ as: 'unconfirmed' }, WHERE)
    assert.match(reason!, /a gave|The source gave web up, but b has not confirmed.*leave the source QEMU as it is/)
    assert.deepEqual(rest, { status: 'failed', code: 'unconfirmed', arrivedState: null })
  })

  it('do not say that a guest runs that does not, or of which nobody knows', () => {
    const ending: OutgoingEnding = { as: 'kept', reason: REASON }
    assert.match(
      wordsOf(ending, { ...ABOUT, here: 'paused' }).reason!, /stays at the source, a; its state is paused\.$/,
    )
    assert.match(
      wordsOf(ending, { ...ABOUT, here: undefined }).reason!, /a keeps the guest, but its QEMU does not answer/,
    )
  })

  it('call cancelled only what was cancelled and kept', () => {
    const reason: Reason = { ...REASON, fault: 'cancelled' }
    assert.equal(wordsOf({ as: 'kept', reason }, WHERE).status, 'cancelled')
    for (const as of ['held', 'cut', 'lost', 'undecided', 'orphaned'] as const) {
      assert.equal(wordsOf({ as, reason }, WHERE).status, 'failed', as)
    }
  })
})

describe('the tally of a handoff', () => {
  it('begins with nothing', () => {
    const { reason: _reason, ...said } = { reason: '', ...failedResult(ABOUT) }
    assert.deepEqual(
      [said.status, said.arrivedState, said.downtimeMs, said.digestMatched], ['failed', null, null, false],
    )
    for (const count of [said.totalMs, said.qemuBytes, said.wireBytes, said.receivedWireBytes, said.peerBytes,
      said.channels,
      said.rawBytes, said.literalBytes, said.literalWireBytes, said.ledger.savedBytes, said.ledger.netBytes,
      ...Object.values(said.pages) as number[], ...Object.values(said.refsFilledBy)]) assert.equal(count, 0)
    const none = { report: 0, gossip: 0, swap: 0 }
    assert.deepEqual(said.ledger.spentBytes, { source: none, destination: none })
  })

  it('sums up what the channels did, and what the destination reports', async () => {
    const { clock, tally } = tallied()
    tally.offerBytes = 100
    tally.answerBytes = 10
    await clock.run(1234.4)
    const ending: OutgoingEnding = { as: 'completed', state: 'running', summary: SUMMARY }
    tally.arrived(SUMMARY)
    const said = tally.result(ending, { ...NOTHING, sentBytes: 1, receivedBytes: 2, channels: [COUNTS, COUNTS] })
    assert.deepEqual(said, {
      ...ABOUT, status: 'completed', arrivedState: 'running', totalMs: 1234, downtimeMs: null, qemuBytes: 2000,
      wireBytes: 241, receivedWireBytes: 28, peerBytes: 30, channels: 2, pages: {
        total: 20, zero: 2, ref: 10, literal: 8,
      },
      refsFilledBy: SUMMARY.refsFilledBy, rawBytes: 100, literalBytes: 8 * 4096, literalWireBytes: 120,
      digestMatched: true,
      ledger: {
        savedBytes: 2000 - 241 - 28 - 30, spentBytes: { source: SPENT, destination: SPENT },
        netBytes: 2000 - 241 - 28 - 30 - 12,
      },
    })
  })

  it('does not say that digests matched when the destination has not told, or has told of other bytes', () => {
    const ending: OutgoingEnding = { as: 'completed', state: 'running', summary: undefined }
    const bytes = { ...NOTHING, channels: [COUNTS] }
    const untold = tallied().tally.result(ending, bytes)
    assert.deepEqual([untold.digestMatched, untold.peerBytes], [false, 0])
    assert.deepEqual(untold.refsFilledBy, failedResult(ABOUT).refsFilledBy)
    assert.deepEqual(untold.ledger.spentBytes, { source: SPENT, destination: { report: 0, gossip: 0, swap: 0 } })
    const { tally } = tallied()
    tally.arrived(SUMMARY)
    assert.equal(tally.result(ending, bytes).digestMatched, false)
    tally.arrived({ ...SUMMARY, streamBytes: 1000 })
    assert.equal(tally.result(ending, bytes).digestMatched, true)
    // What comes again, without a summary, takes nothing away.
    tally.arrived(undefined)
    assert.equal(tally.result(ending, bytes).digestMatched, true)
  })

  it('lets the destination QEMU have missed urgent pages alone, which it may not need', () => {
    const ending: OutgoingEnding = { as: 'completed', state: 'running', summary: undefined }
    const bytes = { ...NOTHING, channels: [COUNTS, COUNTS], urgentBytes: 1000 }
    const isMatched = (streamBytes: number, urgentBytes?: number): boolean => {
      const { tally } = tallied('postcopy')
      tally.arrived({ ...SUMMARY, streamBytes, ...(urgentBytes === undefined ? {} : { urgentBytes }) })
      return tally.result(ending, bytes).digestMatched
    }
    assert.ok(isMatched(2000, 1000) && isMatched(1992, 992) && isMatched(1000, 0))
    assert.ok(!isMatched(1992, 1000) && !isMatched(1999, 992) && !isMatched(2008, 1008))
    // A version before 1.1 does not say which it missed.
    assert.ok(isMatched(2000) && !isMatched(1992))
  })

  it('counts as downtime what QEMU says, and what passed until the destination\'s word', async () => {
    const { clock, tally } = tallied()
    tally.qemu = QEMU
    await clock.run(1000)
    tally.givenUp('running')
    await clock.run(1040)
    tally.givenUp('running')
    await clock.run(1100)
    tally.arrived(SUMMARY)
    await clock.run(2000)
    tally.arrived(SUMMARY)
    const ending: OutgoingEnding = { as: 'completed', state: 'running', summary: SUMMARY }
    assert.equal(tally.result(ending, NOTHING).downtimeMs, 105)
    assert.equal(tally.result({ as: 'kept', reason: REASON }, NOTHING).downtimeMs, null)
  })

  it('counts in post-copy how long letting it run took: the destination\'s word comes long after', async () => {
    const { clock, tally } = tallied('postcopy')
    tally.qemu = QEMU
    tally.givenUp('running')
    await clock.run(30_000)
    tally.arrived(SUMMARY)
    const ending: OutgoingEnding = { as: 'completed', state: 'running', summary: SUMMARY }
    assert.equal(tally.result(ending, NOTHING).downtimeMs, 17)
    tally.qemu = undefined
    assert.equal(tally.result(ending, NOTHING).downtimeMs, 12)
  })

  it('counts in post-copy no release of which the destination has not told', () => {
    const { tally } = tallied('postcopy')
    tally.qemu = QEMU
    tally.givenUp('running')
    tally.arrived(undefined)
    const ending: OutgoingEnding = { as: 'completed', state: 'running', summary: undefined }
    assert.equal(tally.result(ending, NOTHING).downtimeMs, 5)
  })

  it('claims no downtime for a guest that did not run, or of which it does not know that it was given up', () => {
    const ending: OutgoingEnding = { as: 'completed', state: 'running', summary: SUMMARY }
    for (const runState of ['paused', 'unknown', 'shutdown'] as const) {
      const { tally } = tallied()
      tally.givenUp(runState)
      tally.arrived(SUMMARY)
      assert.equal(tally.result(ending, NOTHING).downtimeMs, null, runState)
    }
    const { tally } = tallied()
    tally.arrived(SUMMARY)
    assert.equal(tally.result(ending, NOTHING).downtimeMs, null)
  })
})

describe('the phase of a handoff', () => {
  it('is named in an operator\'s words', () => {
    const phases = (isSwitchingOver: boolean) =>
      ['preparing', 'starting', 'moving', 'stopping', 'orphaned', 'handingOver', 'serving', 'leaving',
        'takingBack', 'over']
        .map((at) => phaseOf(at, isSwitchingOver))
    const rest = ['switchover', 'postcopy', 'finishing', 'finishing', 'finishing']
    assert.deepEqual(phases(false), ['preparing', 'preparing', 'precopy', 'precopy', 'precopy', ...rest])
    assert.deepEqual(phases(true), ['preparing', 'preparing', 'switchover', 'switchover', 'switchover', ...rest])
  })
})
