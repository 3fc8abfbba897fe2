import assert from 'node:assert/strict'

import type { Plan } from '../../../src/conversation/conversation.ts'
import { verdictOf } from '../../../src/conversation/outgoingend.ts'
import type { OutgoingEvent, OutgoingState } from '../../../src/conversation/outgoingstate.ts'
import { COPY_NEWS, REASON } from './everystep.ts'
import { CLOSING, walkOutgoing } from './walk.ts'

const body = Buffer.from([1])
const MOVE: Plan = { kind: 'move', mode: 'precopy' }
const POSTCOPY: Plan = { kind: 'move', mode: 'postcopy' }
const REJOIN: Plan = { kind: 'rejoin', runState: 'running' }
const bitmap: OutgoingEvent = { kind: 'message', message: { kind: 'bitmap', body } }
const whole: OutgoingEvent = { kind: 'message', message: { kind: 'whole' } }
const trouble: OutgoingEvent = { kind: 'message', message: { kind: 'trouble', reason: 'no room' } }
const arrived: OutgoingEvent = { kind: 'message', message: { kind: 'arrived', state: 'running', summary: undefined } }
const unfit: OutgoingEvent = { kind: 'message', message: { kind: 'unfit', reason: 'no disk' } }
const broken: OutgoingEvent = { kind: 'message', message: { kind: 'broken', reason: 'it ended' } }
const switchover: OutgoingEvent = { kind: 'switchover', runState: 'running' }
const lost: OutgoingEvent = { kind: 'linkLost', reason: REASON }
const cancel: OutgoingEvent = { kind: 'cancel', reason: REASON }
const askedArrived: OutgoingEvent = {
  kind: 'asked', copy: { kind: 'arrived', state: 'running', summary: undefined },
}
const gone: OutgoingEvent = { kind: 'gone', reason: REASON, wasHeard: true }
const qemu = (status: string): OutgoingEvent => ({ kind: 'qemu', status })

const greeted: OutgoingEvent[] = [
  { kind: 'begin' }, { kind: 'prepared' }, { kind: 'accepted' }, { kind: 'linked' }, bitmap,
]
const MOVING: OutgoingState = { at: 'moving', link: 'up', copy: 'unknown', runState: 'running', isCancelling: false }
const LEAVING: OutgoingState = { at: 'leaving', cause: 'completed', link: 'up', runState: 'running' }
const SERVING: OutgoingState = { at: 'serving', link: 'up', runState: 'running' }

describe('the outgoing end', () => {
  it('goes from the offer to the stream in order', () => {
    const seen = greeted.map((_, index) => walkOutgoing({ at: 'idle', plan: MOVE }, ...greeted.slice(0, index + 1)))
    assert.deepEqual(seen.map(({ state, does }) => [state.at, ...does]), [
      ['preparing', 'standBack', 'prepare'],
      ['offering', 'offer', 'wait offer'],
      ['linking', 'wait link'],
      ['listing', 'greet', 'wait greeting'],
      ['starting', 'useBitmap', 'record moving first', 'start', 'wait begin'],
    ])
    const begun = walkOutgoing({ at: 'idle', plan: MOVE }, ...greeted, { kind: 'begun' })
    assert.deepEqual([begun.state, begun.does], [{ ...MOVING, runState: 'unknown' }, ['openChannel']])
  })

  it('takes a connection that is there before the answer to its offer', () => {
    const { state, does } = walkOutgoing({ at: 'offering', plan: MOVE }, { kind: 'linked' })
    assert.deepEqual([state.at, ...does], ['listing', 'greet', 'wait greeting'])
    assert.deepEqual(walkOutgoing(state, { kind: 'accepted' }), { state, does: [] })
  })

  it('asks for post-copy once the stream has begun', () => {
    assert.deepEqual(walkOutgoing({ at: 'idle', plan: POSTCOPY }, ...greeted, { kind: 'begun' }).does, [
      'openChannel', 'startPostcopy',
    ])
  })

  it('asks for a late post-copy, or for a pause, only once it is to be hastened', () => {
    const late: Plan = { kind: 'move', mode: 'postcopy', isLate: true }
    const { state, does } = walkOutgoing({ at: 'idle', plan: late }, ...greeted, { kind: 'begun' })
    assert.deepEqual([state.at, ...does], ['moving', 'openChannel'])
    assert.deepEqual(walkOutgoing(state, { kind: 'hasten', by: 'postcopy' }), { state, does: ['startPostcopy'] })
    assert.deepEqual(walkOutgoing(state, { kind: 'hasten', by: 'pause' }), { state, does: ['allowPause'] })
    const stopping = walkOutgoing(state, cancel).state
    assert.deepEqual(walkOutgoing(stopping, { kind: 'hasten', by: 'pause' }), { state: stopping, does: [] })
  })

  it('remembers that it is to be hastened until its stream has begun', () => {
    for (const [by, effect] of [['postcopy', 'startPostcopy'], ['pause', 'allowPause']] as const) {
      const plan: Plan = by === 'postcopy' ? { kind: 'move', mode: by, isLate: true } : MOVE
      const events: OutgoingEvent[] = [greeted[0]!, { kind: 'hasten', by }, ...greeted.slice(1), { kind: 'begun' }]
      assert.deepEqual(walkOutgoing({ at: 'idle', plan }, ...events).does, ['openChannel', effect])
    }
  })

  it('ends a dry run with the bitmap', () => {
    const { state, does } = walkOutgoing({ at: 'listing', plan: { kind: 'dryRun' } }, bitmap)
    assert.deepEqual([state, ...does], [
      { at: 'over', ending: { as: 'estimated' } }, 'useBitmap', 'forget', ...CLOSING, 'deliver estimated',
    ])
  })

  it('keeps the guest if anything goes wrong before QEMU is told to migrate', () => {
    const events: OutgoingEvent[] = [
      { kind: 'failed', what: 'offer', reason: REASON }, lost, cancel, { kind: 'late', wait: 'offer' },
    ]
    for (const event of events) {
      const { state, does } = walkOutgoing({ at: 'offering', plan: MOVE }, event)
      assert.equal(state.at === 'over' && state.ending.as, 'kept')
      assert.deepEqual(does, ['forget', ...CLOSING, 'deliver kept'])
    }
    assert.deepEqual(walkOutgoing({ at: 'offering', plan: MOVE }, gone).does.at(-1), 'deliver lost')
  })

  it('is told nothing by a host that asks before QEMU was told to migrate', () => {
    const state: OutgoingState = { at: 'offering', plan: MOVE }
    const walks = COPY_NEWS.map((copy) => walkOutgoing(state, { kind: 'asked', copy }))
    assert.deepEqual(walks, COPY_NEWS.map(() => ({ state, does: ['answer pending'] })))
  })

  it('names what did not answer in time', () => {
    const { state } = walkOutgoing({ at: 'linking', plan: MOVE }, { kind: 'late', wait: 'link' })
    assert.ok(state.at === 'over' && state.ending.as === 'kept')
    assert.match(state.ending.reason.message, /did not answer in time \(linking\)/)
    assert.deepEqual([state.ending.reason.code, state.ending.reason.fault], ['timeout', 'peer'])
  })

  it('asks QEMU to give up once it was told to migrate, but not if it refused', () => {
    const starting: OutgoingState = { at: 'starting', plan: MOVE }
    for (const event of [cancel, lost, trouble, { kind: 'late', wait: 'begin' } as const]) {
      const { state, does } = walkOutgoing(starting, event)
      assert.deepEqual([state.at, ...does], ['stopping', 'cancelQemu', 'wait giveUp'])
      assert.ok(state.at === 'stopping' && state.link === (event.kind === 'linkLost' ? 'lost' : 'up'))
    }
    for (const event of [{ kind: 'failed', what: 'start', reason: REASON } as const, qemu('failed')]) {
      assert.deepEqual(walkOutgoing(starting, event).does, ['forget', ...CLOSING, 'deliver kept'])
    }
    const refused = walkOutgoing(starting, cancel, { kind: 'failed', what: 'start', reason: REASON })
    assert.equal(refused.does.at(-1), 'deliver kept')
  })

  it('tells the run state at switchover, and writes it down', () => {
    const { state, does } = walkOutgoing(MOVING, { kind: 'switchover', runState: 'paused' })
    assert.deepEqual([state, does], [{ ...MOVING, runState: 'paused' }, ['say switchover', 'record moving']])
    const alone = walkOutgoing({ ...MOVING, at: 'stopping', isWish: true, reason: REASON, link: 'lost' }, switchover)
    assert.deepEqual(alone.does, ['record moving'])
  })

  it('takes what was fetched, whatever is being decided', () => {
    const fetched: OutgoingEvent = { kind: 'message', message: { kind: 'fetched', body } }
    const states: OutgoingState[] = [{ at: 'starting', plan: MOVE }, MOVING, SERVING]
    for (const state of states) assert.deepEqual(walkOutgoing(state, fetched), { state, does: ['addFetched'] })
    assert.deepEqual(walkOutgoing(LEAVING, fetched), { state: LEAVING, does: [] })
  })

  it('tells the destination what QEMU decided', () => {
    assert.deepEqual(walkOutgoing(MOVING, qemu('completed')).does, ['say givenUp', 'record given-up', 'wait confirm'])
    for (const status of ['failed', 'cancelled']) {
      assert.deepEqual(walkOutgoing(MOVING, qemu(status)).does, [
        'say kept', 'record kept', ...CLOSING, 'deliver kept',
      ])
    }
    for (const status of ['setup', 'active', 'device', 'postcopy-recover']) {
      assert.deepEqual(walkOutgoing(MOVING, qemu(status)), { state: MOVING, does: [] })
    }
  })

  it('asks QEMU twice to give up, then rests without knowing, and tells the answer when it comes', () => {
    const first = walkOutgoing(MOVING, trouble)
    assert.deepEqual(first.does, ['cancelQemu', 'wait giveUp'])
    const second = walkOutgoing(first.state, { kind: 'late', wait: 'giveUp' })
    assert.deepEqual(second.does, ['cancelQemu', 'wait undecided'])
    const rested = walkOutgoing(second.state, { kind: 'late', wait: 'undecided' })
    assert.deepEqual(rested.does, ['stopPassages', 'closeLink', 'goOn', 'deliver undecided'])
    assert.equal(rested.state.at, 'stopping')
    assert.deepEqual(walkOutgoing(rested.state, qemu('cancelled')).does, ['record kept', ...CLOSING, 'deliver kept'])
    assert.deepEqual(walkOutgoing(rested.state, qemu('completed')).does, ['record given-up', 'wait confirm'])
  })

  it('completes when the destination says that the guest arrived', () => {
    const { state, does } = walkOutgoing(LEAVING, whole, arrived)
    assert.deepEqual(state, { at: 'over', ending: { as: 'completed', state: 'running', summary: undefined } })
    assert.deepEqual(does, ['forget', ...CLOSING, 'deliver completed'])
  })

  it('tells that nobody confirmed, and completes all the same when the destination asks', () => {
    const late = walkOutgoing(LEAVING, lost, { kind: 'late', wait: 'confirm' })
    assert.deepEqual([late.state.at, ...late.does], ['unconfirmed', ...CLOSING, 'deliver unconfirmed'])
    const asked = walkOutgoing(late.state, { kind: 'asked', copy: { kind: 'whole' } })
    assert.deepEqual(asked.does, ['answer given-up'])
    const told = walkOutgoing(asked.state, askedArrived)
    assert.deepEqual(told.does, ['forget', ...CLOSING, 'deliver completed', 'answer given-up'])
  })

  it('takes the guest back that the destination cannot run, and writes that down first', () => {
    const taking = walkOutgoing(LEAVING, unfit)
    assert.deepEqual([taking.state.at, ...taking.does], [
      'takingBack', 'record taking-back first', 'takeBack running', 'wait undecided',
    ])
    assert.deepEqual(walkOutgoing(taking.state, { kind: 'takenBack' }).does, [
      'say kept', 'record kept', ...CLOSING, 'deliver kept',
    ])
    const asked = walkOutgoing(taking.state, { kind: 'asked', copy: { kind: 'unfit', reason: 'no disk' } })
    assert.deepEqual(asked.does, ['answer pending'])
  })

  it('holds a guest that can run nowhere, and loses one whose copies are both gone', () => {
    const { state } = walkOutgoing(LEAVING, unfit)
    const refused = walkOutgoing(state, { kind: 'notTakenBack', reason: REASON })
    assert.deepEqual(refused.does, ['record held first', ...CLOSING, 'deliver held'])
    assert.ok(refused.state.at === 'over' && refused.state.ending.as === 'held')
    assert.match(refused.state.ending.reason.message, /no disk The source could not go on either: It is tried\./)
    assert.equal(walkOutgoing(state, gone).does.at(-1), 'deliver held')
    assert.equal(walkOutgoing(state, broken, gone).does.at(-1), 'deliver lost')
    assert.equal(walkOutgoing(LEAVING, gone, unfit).does.at(-1), 'deliver held')
    assert.equal(walkOutgoing(LEAVING, gone, broken).does.at(-1), 'deliver lost')
    const run = walkOutgoing(refused.state, askedArrived)
    assert.equal(run.does.at(-2), 'deliver completed')
  })

  it('rests without knowing when QEMU does not say whether it took the guest back', () => {
    const { state, does } = walkOutgoing(LEAVING, unfit, { kind: 'late', wait: 'undecided' })
    assert.deepEqual([state.at, ...does], ['takingBack', 'stopPassages', 'closeLink', 'goOn', 'deliver undecided'])
    assert.deepEqual(walkOutgoing(state, { kind: 'takenBack' }).does, ['record kept', ...CLOSING, 'deliver kept'])
  })
})

describe('the outgoing end in post-copy', () => {
  it('gives the guest up once QEMU cannot go back, not when it says postcopy-active', () => {
    const active = walkOutgoing(MOVING, qemu('postcopy-active'))
    assert.deepEqual([active.state.at, ...active.does], ['handingOver'])
    const over = walkOutgoing(active.state, { kind: 'handedOver' })
    assert.deepEqual([over.state, ...over.does], [SERVING, 'say givenUp', 'record cut'])
    assert.deepEqual(walkOutgoing(over.state, qemu('completed'), arrived).does.at(-1), 'deliver completed')
  })

  it('is not cancelled while it hands over, and breaks a stream that fails', () => {
    const handing: OutgoingState = { ...MOVING, at: 'handingOver' }
    assert.deepEqual(walkOutgoing(handing, cancel), { state: handing, does: [] })
    assert.deepEqual(walkOutgoing(handing, lost).does, ['stopPassages', 'wait undecided'])
    assert.equal(walkOutgoing(handing, lost, qemu('failed')).does.at(-1), 'deliver kept')
    assert.equal(walkOutgoing(handing, lost, qemu('postcopy-paused')).does.at(-1), 'deliver cut')
  })

  it('goes on where a cancel comes too late', () => {
    const { state } = walkOutgoing(MOVING, cancel)
    assert.equal(walkOutgoing(state, qemu('postcopy-paused')).state.at, 'cut')
    const late = walkOutgoing(state, qemu('postcopy-active'))
    assert.deepEqual([late.state.at, ...late.does], ['handingOver'])
    assert.deepEqual(walkOutgoing(late.state, { kind: 'late', wait: 'giveUp' }), { state: late.state, does: [] })
    for (const at of [state, late.state]) assert.deepEqual(walkOutgoing(at, { kind: 'handedOver' }).state, SERVING)
  })

  it('breaks the stream where trouble comes too late to ask QEMU', () => {
    const { state, does } = walkOutgoing(MOVING, lost, qemu('postcopy-active'))
    assert.deepEqual([state.at, ...does], ['handingOver', 'stopPassages', 'wait undecided'])
  })

  it('leaves the decision to a QEMU that says that it gives up, whatever its stream says', () => {
    const { state } = walkOutgoing(MOVING, qemu('cancelling'), { kind: 'handedOver' })
    assert.equal(state.at, 'moving')
    assert.equal(walkOutgoing(state, qemu('cancelled')).does[0], 'say kept')
  })

  it('hears from the stream what the guest was doing though it was given up already', () => {
    const walk = walkOutgoing({ ...SERVING, runState: 'unknown' }, { kind: 'switchover', runState: 'paused' })
    assert.deepEqual(walk, { state: { ...SERVING, runState: 'paused' }, does: [] })
  })

  it('is cut by a lost connection, and keeps QEMU\'s session for what may come', () => {
    for (const event of [lost, { kind: 'failed', what: 'passage', reason: REASON } as const, qemu('postcopy-paused')]) {
      const { state, does } = walkOutgoing(SERVING, event)
      assert.deepEqual([state.at, ...does], ['cut', 'record cut', 'stopPassages', 'closeLink', 'goOn', 'deliver cut'])
    }
    const cut: OutgoingState = { at: 'cut', runState: 'running' }
    assert.deepEqual(walkOutgoing(cut, qemu('completed')).does, [...CLOSING, 'deliver unconfirmed'])
    assert.deepEqual(walkOutgoing(cut, gone).does, [...CLOSING, 'deliver orphaned'])
    const torn = verdictOf(walkOutgoing(cut, gone).state)
    assert.deepEqual(torn, { verdict: 'given-up', runState: 'running', isTorn: true })
    assert.deepEqual(walkOutgoing(cut, { kind: 'asked', copy: { kind: 'partial' } }).does, ['answer given-up'])
    assert.deepEqual(walkOutgoing(cut, { kind: 'asked', copy: { kind: 'fell', reason: 'it died' } }).does, [
      'forget', ...CLOSING, 'deliver lost', 'answer unknown',
    ])
  })

  it('goes on with a post-copy that was cut', () => {
    const { state, does } = walkOutgoing({ at: 'cut', runState: 'running' }, { kind: 'rejoin' })
    assert.deepEqual([state, does], [{ at: 'preparing', plan: REJOIN }, ['standBack', 'prepare']])
    const listed = walkOutgoing(state, ...greeted.slice(1))
    assert.deepEqual([listed.state.at, ...listed.does], [
      'starting', 'useBitmap', 'say givenUp', 'start again', 'wait begin',
    ])
    assert.deepEqual(walkOutgoing(listed.state, { kind: 'begun' }), { state: SERVING, does: ['openChannel'] })
    assert.equal(walkOutgoing(listed.state, lost).state.at, 'cut')
    assert.deepEqual(walkOutgoing(listed.state, gone).does, [...CLOSING, 'deliver orphaned'])
    assert.equal(walkOutgoing(listed.state, qemu('completed')).state.at, 'leaving')
    const told = walkOutgoing(listed.state, askedArrived)
    assert.equal(told.does.at(-2), 'deliver completed')
  })

  it('may have lost the guest when its QEMU dies meanwhile: the destination knows', () => {
    const { state } = walkOutgoing(SERVING, gone)
    assert.equal(state.at, 'leaving')
    assert.equal(walkOutgoing(state, arrived).does.at(-1), 'deliver completed')
    assert.equal(walkOutgoing(state, broken).does.at(-1), 'deliver lost')
    assert.equal(walkOutgoing(state, { kind: 'late', wait: 'confirm' }).does.at(-1), 'deliver orphaned')
  })
})

describe('the outgoing end whose QEMU died', () => {
  it('gives the guest up to a whole copy, and has lost it with a broken one', () => {
    for (const events of [[whole, gone], [gone, whole]]) {
      const { state, does } = walkOutgoing(MOVING, ...events)
      assert.ok(state.at === 'leaving' && state.cause === 'dead')
      assert.deepEqual(does.slice(-3), ['say givenUp', 'record given-up', 'wait confirm'])
    }
    for (const events of [[gone, broken], [broken, gone]]) {
      assert.equal(walkOutgoing(MOVING, ...events).does.at(-1), 'deliver lost')
    }
    const partial = walkOutgoing(MOVING, gone, lost, { kind: 'asked', copy: { kind: 'partial' } })
    assert.equal(partial.does.at(-2), 'deliver lost')
  })

  it('has lost nothing where the destination\'s QEMU does not say what it has', () => {
    const unsaid: OutgoingEvent = { kind: 'asked', copy: { kind: 'unsaid' } }
    const { state, does } = walkOutgoing(MOVING, gone, lost, unsaid)
    assert.deepEqual([state.at, ...does], ['orphaned', 'answer pending'])
    assert.deepEqual(walkOutgoing(MOVING, lost, unsaid).does, ['answer pending'])
    assert.deepEqual(walkOutgoing(MOVING, lost, qemu('failed'), unsaid).does, ['answer kept'])
    assert.deepEqual(walkOutgoing(MOVING, qemu('completed'), unsaid).does, ['answer given-up'])
  })

  it('gives nothing up if the guest may have gone on before', () => {
    const unheard: OutgoingEvent = { ...gone, wasHeard: false }
    for (const events of [[unheard, whole], [qemu('cancelling'), gone, whole], [whole, qemu('cancelling'), gone]]) {
      const { state, does } = walkOutgoing(MOVING, ...events)
      assert.ok(state.at === 'orphaned' && state.mayHaveGoneOn)
      assert.ok(!does.includes('say givenUp'))
      const late = walkOutgoing(state, { kind: 'late', wait: 'orphan' })
      assert.equal(late.does.at(-1), 'deliver undecided')
      assert.deepEqual(walkOutgoing(late.state, { kind: 'asked', copy: { kind: 'whole' } }).does, ['answer unknown'])
    }
  })

  it('rests when the destination says nothing, and settles it when it asks', () => {
    const late = walkOutgoing(MOVING, gone, lost, { kind: 'late', wait: 'orphan' })
    assert.equal(late.does.at(-1), 'deliver orphaned')
    const asked = walkOutgoing(late.state, { kind: 'asked', copy: { kind: 'whole' } })
    assert.deepEqual(asked.does, ['record given-up', 'wait confirm', 'answer given-up'])
  })
})
