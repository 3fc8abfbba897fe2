/** Why a conversation ends as it does, by its own account; and what it knows of its connection and copies then. */
import assert from 'node:assert/strict'

import type { Reason } from '../../../src/conversation/conversation.ts'
import type { IncomingEvent, IncomingState } from '../../../src/conversation/incomingstate.ts'
import type { LeavingCause, OutgoingEvent, OutgoingState } from '../../../src/conversation/outgoingstate.ts'
import { stepOutgoing } from '../../../src/conversation/outgoingstep.ts'
import type { ErrorCode } from '../../../src/runtime/errors.ts'
import { walkIncoming, walkOutgoing } from './walk.ts'

const because = (code: ErrorCode): Reason => ({ code, message: `It is ${code}.`, fault: 'host' })
const lost = (code: ErrorCode = 'lane-lost'): OutgoingEvent & IncomingEvent =>
  ({ kind: 'linkLost', reason: because(code) })
const cancel: OutgoingEvent = { kind: 'cancel', reason: because('cancelled') }
const trouble: OutgoingEvent = { kind: 'message', message: { kind: 'trouble', reason: 'no room' } }
const gone = (wasHeard: boolean): OutgoingEvent => ({ kind: 'gone', reason: because('guest-gone'), wasHeard })
const qemu = (status: string): OutgoingEvent & IncomingEvent => ({ kind: 'qemu', status, error: 'broken pipe' })
const MOVING: OutgoingState = { at: 'moving', link: 'up', copy: 'unknown', runState: 'running', isCancelling: false }

/** The code of the reason that a state has, or its ending. */
function why(state: OutgoingState | IncomingState): string | undefined {
  const reason = 'ending' in state && 'reason' in state.ending ? state.ending.reason
    : 'reason' in state ? state.reason : 'why' in state ? state.why : undefined
  return reason?.code
}

describe('why the outgoing end keeps a guest', () => {
  const cases: [string, OutgoingEvent[], string][] = [
    ['QEMU failed by itself', [qemu('failed')], 'qemu-failed'],
    ['it was cancelled', [cancel, qemu('cancelled')], 'cancelled'],
    ['the destination is in trouble', [trouble, qemu('cancelled')], 'failed-at-destination'],
    ['a lane was lost, and nobody says why', [lost(), qemu('failed')], 'lane-lost'],
    ['a lane was lost, and the other end says why', [lost(), trouble, qemu('failed')], 'failed-at-destination'],
    ['something else was first', [cancel, trouble, qemu('failed')], 'cancelled'],
    ['a cancel came behind it', [lost(), cancel, qemu('failed')], 'lane-lost'],
    ['QEMU refused to migrate', [{ kind: 'failed', what: 'start', reason: because('qmp-error') }], 'qmp-error'],
  ]
  for (const [what, events, code] of cases) {
    it(`is that ${what}`, () => {
      const { state } = walkOutgoing(MOVING, ...events)
      assert.deepEqual([state.at === 'over' && state.ending.as, why(state)], ['kept', code])
    })
  }

  it('is in QEMU\'s words where it has some', () => {
    const { state } = walkOutgoing(MOVING, qemu('failed'))
    assert.ok(state.at === 'over' && state.ending.as === 'kept')
    assert.equal(state.ending.reason.message, 'The source QEMU says that the migration failed: broken pipe.')
  })

  it('is not known where its QEMU does not say', () => {
    const { state } = walkOutgoing(MOVING, qemu('postcopy-active'), lost(), { kind: 'late', wait: 'undecided' })
    assert.ok(state.at === 'handingOver' && state.link === 'lost')
    const stopped = walkOutgoing(MOVING, cancel, { kind: 'late', wait: 'giveUp' }, { kind: 'late', wait: 'undecided' })
    assert.deepEqual([stopped.state.at, why(stopped.state)], ['stopping', 'cancelled'])
  })
})

describe('a guest that was given up', () => {
  const leaving = (cause: LeavingCause): OutgoingState => ({ at: 'leaving', cause, link: 'up', runState: 'running' })
  const CAUSES = ['completed', 'dead', 'postcopy', 'torn'] as const

  it('may be taken back by a QEMU that completed and is there, and by none that has ended', () => {
    for (const cause of CAUSES) {
      const { state } = walkOutgoing(leaving(cause), gone(true))
      assert.deepEqual(state, leaving(cause === 'completed' ? 'dead' : cause))
    }
  })

  it('is held where the copy that may have run ended, and lost where no other is left', () => {
    for (const cause of CAUSES) {
      const fell: OutgoingEvent = { kind: 'message', message: { kind: 'fell', reason: 'it died' } }
      const { state, does } = walkOutgoing(leaving(cause), fell)
      const as = cause === 'completed' ? 'held' : 'lost'
      assert.deepEqual([state.at === 'over' && state.ending.as, why(state)], [as, 'failed-at-destination'], cause)
      assert.ok(does.includes(as === 'held' ? 'record held first' : 'forget'))
    }
  })

  it('is unconfirmed where nobody answers in time; what a dead QEMU had left to send decides', () => {
    for (const cause of CAUSES) {
      const { state, does } = walkOutgoing(leaving(cause), { kind: 'late', wait: 'confirm' })
      assert.deepEqual(state, { ...leaving(cause), at: 'unconfirmed', link: 'lost' })
      assert.equal(does.at(-1), cause === 'torn' ? 'deliver orphaned' : 'deliver unconfirmed')
    }
  })

  it('waits on where it is something else that is late', () => {
    const state = leaving('completed')
    assert.deepEqual(walkOutgoing(state, { kind: 'late', wait: 'giveUp' }), { state, does: [] })
  })
})

describe('a cancel that was only a wish', () => {
  it('is one no more once something is wrong: then the stream of a post-copy is broken that went on', () => {
    const wished = walkOutgoing(MOVING, cancel, qemu('postcopy-active'))
    assert.deepEqual(wished.does, [])
    const endangered = walkOutgoing(MOVING, cancel, trouble, qemu('postcopy-active'))
    assert.deepEqual(endangered.does, ['stopPassages', 'wait undecided'])
    const again = walkOutgoing(MOVING, trouble, cancel, qemu('postcopy-active'))
    assert.deepEqual(again.does, ['stopPassages', 'wait undecided'])
  })
})

describe('a post-copy that is cut at the source', () => {
  it('is cut for what was wrong before, or for what QEMU says', () => {
    const paused = qemu('postcopy-paused')
    for (const [events, code] of [[[lost('unexpected')], 'unexpected'], [[], 'qemu-failed']] as const) {
      const { state, effects } = stepOutgoing(walkOutgoing(MOVING, ...events).state, paused)
      assert.deepEqual(state, { at: 'cut', runState: 'running' })
      const told = effects.find((effect) => effect.do === 'deliver')
      assert.equal(told !== undefined && 'reason' in told.ending && told.ending.reason.code, code)
    }
  })

  it('that goes on is up or not as far as it had come, where QEMU says that all is done', () => {
    const plan = { kind: 'rejoin', runState: 'paused' } as const
    const links = [['offering', 'lost'], ['linking', 'lost'], ['listing', 'up'], ['starting', 'up']] as const
    for (const [at, link] of links) {
      const { state, does } = walkOutgoing({ at, plan }, qemu('completed'))
      assert.deepEqual(state, { at: 'leaving', cause: 'postcopy', link, runState: 'paused' }, at)
      assert.deepEqual(does, ['wait confirm'], 'it was given up before')
    }
  })
})

describe('a source whose QEMU died', () => {
  it('writes down that the other copy is the guest, unless this one may have gone on', () => {
    assert.deepEqual(walkOutgoing(MOVING, gone(true)).does, ['record orphaned', 'wait orphan'])
    assert.deepEqual(walkOutgoing(MOVING, gone(false)).does, ['wait orphan'])
    assert.deepEqual(walkOutgoing(MOVING, qemu('cancelling'), gone(true)).does, ['wait orphan'])
  })

  it('writes down what the guest was doing, which the stream tells behind that', () => {
    const switchover: OutgoingEvent = { kind: 'switchover', runState: 'paused' }
    for (const [wasHeard, record] of [[true, 'record orphaned'], [false, 'record moving']] as const) {
      const { state, does } = walkOutgoing(MOVING, gone(wasHeard), switchover)
      assert.deepEqual(does, ['say switchover', record])
      assert.ok('runState' in state && state.runState === 'paused')
    }
  })

  it('is told of a copy that is broken, or fell, before or after that', () => {
    for (const kind of ['broken', 'fell'] as const) {
      const told: OutgoingEvent = { kind: 'asked', copy: { kind, reason: 'it ended' } }
      const { state } = walkOutgoing(MOVING, told)
      assert.ok(state.at === 'stopping' && state.copy === 'broken' && !state.isWish)
      for (const events of [[told, gone(true)], [gone(true), told]]) {
        const { state: over } = walkOutgoing(MOVING, ...events)
        assert.deepEqual([over.at === 'over' && over.ending.as, why(over)], ['lost', 'guest-gone'])
      }
    }
  })
})

describe('why the incoming end holds, ends or has lost a copy', () => {
  const LOADING: IncomingState = { at: 'loading', mode: 'precopy', runState: 'running' }
  const kept: IncomingEvent = { kind: 'message', message: { kind: 'kept', reason: 'cancelled' } }
  const dead: IncomingEvent = { kind: 'gone', reason: because('guest-gone') }
  const failed: IncomingEvent = { kind: 'failed', what: 'passage', reason: because('digest-mismatch') }
  const stopped: IncomingEvent = { kind: 'stop', reason: because('agent-stopped') }
  const cases: [string, IncomingEvent[], string, string][] = [
    ['its QEMU failed by itself', [qemu('failed')], 'telling', 'qemu-failed'],
    ['its QEMU failed after the link was lost', [lost(), qemu('failed')], 'telling', 'lane-lost'],
    ['its QEMU failed after its passage did', [failed, qemu('failed')], 'telling', 'digest-mismatch'],
    ['its QEMU died', [dead], 'telling', 'guest-gone'],
    ['the agent stopped while it was whole', [qemu('completed'), stopped], 'holding', 'agent-stopped'],
    ['the link was lost while it was whole', [qemu('completed'), lost()], 'holding', 'lane-lost'],
    ['the link was lost before it was', [lost(), qemu('completed')], 'holding', 'lane-lost'],
    ['the source keeps it', [qemu('completed'), kept], 'ending', 'failed-at-source'],
  ]
  for (const [what, events, at, code] of cases) {
    it(`is that ${what}`, () => {
      const { state } = walkIncoming(LOADING, ...events)
      assert.deepEqual([state.at, why(state)], [at, code])
    })
  }

  it('is in QEMU\'s words where it has some', () => {
    const { state } = walkIncoming(LOADING, qemu('failed'))
    assert.ok(state.at === 'telling' && state.copy.kind === 'broken')
    assert.equal(state.copy.reason, 'The destination QEMU says that the migration failed: broken pipe.')
  })
})
