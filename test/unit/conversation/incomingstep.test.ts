import assert from 'node:assert/strict'

import type { CopyNews, OutgoingMessage, Verdict } from '../../../src/conversation/conversation.ts'
import type { IncomingEvent, IncomingPlan, IncomingState } from '../../../src/conversation/incomingstate.ts'
import { tornHere } from '../../../src/conversation/reasons.ts'
import { REASON } from './everystep.ts'
import { CLOSING, walkIncoming } from './walk.ts'

const body = Buffer.from([1])
const MOVE: IncomingPlan = { kind: 'move', mode: 'precopy' }
const said = (message: OutgoingMessage): IncomingEvent => ({ kind: 'message', message })
const qemu = (status: string): IncomingEvent => ({ kind: 'qemu', status })
const answered = (verdict: Verdict, asked: CopyNews['kind'] = 'whole'): IncomingEvent =>
  ({ kind: 'answered', asked, verdict })
const channel = said({ kind: 'channel', number: 0, ticket: undefined as never })
const givenUp = said({ kind: 'givenUp', runState: 'running' })
const kept = said({ kind: 'kept', reason: 'cancelled' })
const lost: IncomingEvent = { kind: 'linkLost', reason: REASON }
const gone: IncomingEvent = { kind: 'gone', reason: REASON }
const released: IncomingEvent = { kind: 'released', state: 'running' }
const notReleased: IncomingEvent = { kind: 'notReleased', reason: REASON }
const late = (wait: 'abandon' | 'ask' | 'break' | 'confirm'): IncomingEvent => ({ kind: 'late', wait })

const greeted: IncomingEvent[] = [
  { kind: 'begin' }, { kind: 'checked' }, { kind: 'linked' }, said({ kind: 'hello', id: 'a' }),
  said({ kind: 'census', body }), said({ kind: 'order', body }), channel,
]
const LOADING: IncomingState = { at: 'loading', mode: 'precopy', runState: 'running' }
const POSTCOPY: IncomingState = { at: 'loading', mode: 'postcopy', runState: 'running' }
const HOLDING: IncomingState = {
  at: 'holding', why: REASON, link: 'lost', runState: 'running', copy: { kind: 'whole' },
}
const CUT: IncomingState = { at: 'cut', runState: 'running', state: undefined, why: REASON, isTorn: false }
const HELD = ['stopPassages', 'closeLink', 'closeDriver', 'goOn', 'deliver held']

describe('the incoming end', () => {
  it('goes from the check to the stream in order', () => {
    const seen = greeted.map((_, index) => walkIncoming({ at: 'idle', plan: MOVE }, ...greeted.slice(0, index + 1)))
    assert.deepEqual(seen.map(({ state, does }) => [state.at, ...does]), [
      ['checking', 'standBack', 'check'],
      ['linking', 'accept', 'link', 'wait link'],
      ['greeting', 'wait greeting'],
      ['listing', 'wait greeting'],
      ['waiting', 'answerCensus', 'wait channel'],
      ['waiting', 'fetch'],
      ['loading', 'record loading first', 'openChannel'],
    ])
  })

  it('refuses what cannot be moved, and lets its QEMU wait as before', () => {
    const refused = walkIncoming({ at: 'checking', plan: MOVE }, { kind: 'failed', what: 'check', reason: REASON })
    assert.deepEqual(refused.does, ['refuse', 'forget', ...CLOSING, 'deliver failed'])
    for (const event of [lost, gone, kept, { kind: 'stop', reason: REASON } as const]) {
      const { does } = walkIncoming({ at: 'waiting', plan: MOVE, order: 'taken' }, event)
      assert.deepEqual(does, ['forget', ...CLOSING, 'deliver failed'])
    }
    const { state } = walkIncoming({ at: 'greeting', plan: MOVE }, { kind: 'late', wait: 'greeting' })
    assert.ok(state.at === 'over' && state.ending.as === 'failed')
    assert.match(state.ending.reason.message, /said nothing in time \(greeting\)/)
    assert.equal(state.ending.reason.code, 'timeout')
  })

  it('ends a dry run when the source hangs up', () => {
    const { does } = walkIncoming({ at: 'waiting', plan: { kind: 'dryRun' }, order: 'awaited' }, lost)
    assert.deepEqual(does, [...CLOSING, 'deliver estimated'])
  })

  it('lets the guest run when it is whole and given up, in either order', () => {
    const first = walkIncoming(LOADING, qemu('completed'))
    assert.deepEqual([first.state.at, ...first.does], ['loaded', 'say whole', 'record loaded'])
    assert.deepEqual(walkIncoming(first.state, givenUp).does, ['release running', 'wait confirm'])
    const second = walkIncoming(LOADING, givenUp)
    assert.deepEqual([second.state.at, ...second.does], ['finishing', 'wait break'])
    assert.deepEqual(walkIncoming(second.state, qemu('completed')).does, ['release running', 'wait confirm'])
  })

  it('tells that the guest arrived until the source has answered', () => {
    const { state, does } = walkIncoming(LOADING, qemu('completed'), givenUp, released)
    assert.deepEqual(does, ['record arrived first', 'say arrived', ...CLOSING, 'deliver arrived', 'wait ask'])
    assert.deepEqual(walkIncoming(state, late('ask')).does, ['ask arrived', 'wait ask'])
    assert.deepEqual(walkIncoming(state, answered({ verdict: 'pending' }, 'arrived')), { state, does: [] })
    // To a question of before, when it had only a part.
    const earlier = answered({ verdict: 'given-up', runState: 'running' }, 'partial')
    assert.deepEqual(walkIncoming(state, earlier), { state, does: [] })
    const over = walkIncoming(state, answered({ verdict: 'unknown' }, 'arrived'))
    assert.deepEqual([over.state.at, ...over.does], ['over', 'forget', 'dismiss'])
  })

  it('takes the run state that is said last', () => {
    const paused = said({ kind: 'switchover', runState: 'paused' })
    const { state, does } = walkIncoming({ ...LOADING, runState: 'unknown' }, paused)
    assert.deepEqual([state, does], [{ ...LOADING, runState: 'paused' }, ['record loading']])
    const unknown = said({ kind: 'givenUp', runState: 'unknown' })
    assert.deepEqual(walkIncoming(state, qemu('completed'), unknown).does[0], 'release paused')
    assert.deepEqual(walkIncoming(state, unknown, qemu('completed')).does[0], 'release paused')
    const later = walkIncoming({ ...LOADING, runState: 'unknown' }, qemu('completed'), paused)
    assert.deepEqual(later.does, ['record loaded'])
  })

  it('holds a copy of which nobody knows whether it ran', () => {
    const { state, does } = walkIncoming(
      { ...LOADING, runState: 'unknown' }, qemu('completed'), said({ kind: 'givenUp', runState: 'unknown' }),
    )
    assert.deepEqual(does, ['record loaded', ...HELD, 'ask whole', 'wait ask'])
    const asked = walkIncoming(state, answered({ verdict: 'given-up', runState: 'unknown' }))
    assert.ok(asked.state.at === 'holding' && asked.state.why.code === 'run-state-unknown')
    assert.equal(walkIncoming(state, answered({ verdict: 'given-up', runState: 'paused' })).does[0], 'release paused')
    assert.ok(walkIncoming(state, { kind: 'settle', decision: 'run' }).does.includes('release running'))
  })

  it('lets the guest be what the source says as it gives it up, whatever was said of it before', () => {
    const paused = said({ kind: 'givenUp', runState: 'paused' })
    const unknown = said({ kind: 'givenUp', runState: 'unknown' })
    for (const [word, state] of [[paused, 'paused'], [unknown, 'running']] as const) {
      const release = `release ${state}`
      assert.equal(walkIncoming(LOADING, word, qemu('completed')).does[0], release)
      assert.equal(walkIncoming(LOADING, qemu('completed'), word).does[0], release)
      assert.equal(walkIncoming(POSTCOPY, word).does[0], release)
      const breaking = walkIncoming(LOADING, { kind: 'failed', what: 'passage', reason: REASON })
      assert.equal(walkIncoming(breaking.state, word, qemu('completed')).does[0], release)
    }
    const switchover = said({ kind: 'switchover', runState: 'shutdown' })
    assert.equal(walkIncoming(LOADING, switchover, unknown, qemu('completed')).does[0], 'release shutdown')
    const untold = said({ kind: 'switchover', runState: 'unknown' })
    assert.equal(walkIncoming(LOADING, paused, untold, qemu('completed')).does[0], 'release paused')
    // What the stream told may come behind it all: the two are heard over connections of their own.
    const nobodyKnew: IncomingState = { ...LOADING, runState: 'unknown' }
    assert.equal(walkIncoming(nobodyKnew, unknown, switchover, qemu('completed')).does[0], 'release shutdown')
    const { state } = walkIncoming(nobodyKnew, { kind: 'failed', what: 'passage', reason: REASON }, switchover)
    assert.equal(walkIncoming(state, unknown, qemu('completed')).does[0], 'release shutdown')
  })

  it('has nothing to let run when its QEMU fails after the source gave the guest up', () => {
    const { state, does } = walkIncoming(LOADING, givenUp, qemu('failed'))
    assert.deepEqual(does, [
      'say trouble', 'record broken first', 'say broken', ...CLOSING, 'deliver failed', 'wait ask',
    ])
    assert.ok(state.at === 'telling' && state.ending.as === 'failed' && state.ending.reason.code === 'qemu-failed')
  })

  it('asks the source to give up when its passage breaks, and lets its own QEMU say what it has', () => {
    const breaking = walkIncoming(LOADING, { kind: 'failed', what: 'passage', reason: REASON })
    assert.deepEqual([breaking.state.at, ...breaking.does], ['breaking', 'say trouble', 'stopPassages', 'wait break'])
    assert.equal(walkIncoming(breaking.state, qemu('completed')).does[0], 'say whole')
    // That it is in trouble is no promise, and need not wait for the disk.
    assert.deepEqual(walkIncoming(breaking.state, gone).does, [
      'say trouble', 'record broken first', 'say broken', ...CLOSING, 'deliver failed', 'wait ask',
    ])
    assert.deepEqual(walkIncoming(breaking.state, lost, qemu('failed')).does, [
      'record broken first', ...CLOSING, 'deliver failed', 'ask broken', 'wait ask',
    ])
    assert.deepEqual(walkIncoming(breaking.state, givenUp, qemu('completed')).does[0], 'release running')
    assert.deepEqual(walkIncoming(breaking.state, kept, qemu('completed')).does, ['endCopy', 'wait break'])
  })

  it('breaks the stream of a guest that is kept, and ends what came whole all the same', () => {
    const { state, does } = walkIncoming(LOADING, kept)
    assert.deepEqual(does, ['stopPassages', 'wait abandon'])
    assert.ok(state.at === 'breaking' && state.isKept && state.link === 'up')
    assert.deepEqual([state.reason.code, state.reason.message], ['failed-at-source', 'cancelled'])
    for (const status of ['completed', 'postcopy-paused']) {
      assert.deepEqual(walkIncoming(state, qemu(status)).does, ['endCopy', 'wait break'])
    }
    assert.ok(walkIncoming(state, qemu('failed')).does.includes('say broken'))
  })

  it('has nothing to end where no channel was opened', () => {
    const failed: IncomingEvent = { kind: 'failed', what: 'channel', reason: REASON }
    assert.equal(walkIncoming(LOADING, failed).does.at(-2), 'deliver failed')
    assert.equal(walkIncoming(LOADING, lost, failed).does.at(-3), 'deliver failed')
  })

  it('goes on watching a QEMU that does not say what it has', () => {
    const { state, does } = walkIncoming(LOADING, lost, late('break'))
    assert.deepEqual([state.at, ...does], [
      'breaking', 'closeLink', 'goOn', 'deliver unanswered', 'ask unsaid', 'wait ask',
    ])
    // It is told once, and asked about for as long as it takes.
    assert.deepEqual(walkIncoming(state, late('ask')).does, ['ask unsaid', 'wait ask'])
    for (const verdict of [
      { verdict: 'pending' }, { verdict: 'unknown' }, { verdict: 'given-up', runState: 'running' },
    ] as const) assert.deepEqual(walkIncoming(state, answered(verdict)), { state, does: [] })
    assert.deepEqual(walkIncoming(state, qemu('completed')).does, ['record loaded', ...HELD, 'ask whole', 'wait ask'])
    const finishing = walkIncoming(LOADING, givenUp, late('break'))
    assert.equal(finishing.does.at(-1), 'deliver unanswered')
    assert.equal(walkIncoming(finishing.state, qemu('completed')).does[0], 'release running')
    const releasing = walkIncoming(LOADING, givenUp, qemu('completed'), late('confirm'))
    assert.equal(releasing.does.at(-1), 'deliver unanswered')
    assert.equal(walkIncoming(releasing.state, released).does.at(-3), 'deliver arrived')
  })

  it('ends a copy whose QEMU says nothing, once the source keeps the guest and not before', () => {
    const breaking = walkIncoming(LOADING, { kind: 'failed', what: 'passage', reason: REASON }).state
    assert.ok(!walkIncoming(breaking, late('break')).does.includes('endCopy'))
    const told = walkIncoming(breaking, kept)
    assert.deepEqual(told.does, ['wait abandon'])
    assert.deepEqual(walkIncoming(told.state, lost).does, [], 'its time does not begin anew')
    const asked = walkIncoming(breaking, late('break'), answered({ verdict: 'kept' }))
    assert.deepEqual(asked.does, ['wait abandon'])
    assert.deepEqual(walkIncoming(asked.state, answered({ verdict: 'kept' })).does, [], 'its time does not begin anew')
    for (const { state } of [told, asked]) {
      const ending = walkIncoming(state, late('abandon'))
      assert.deepEqual([ending.state.at, ...ending.does], ['ending', 'endCopy', 'wait break'])
      assert.deepEqual(walkIncoming(state, late('break')), { state, does: [] })
      assert.ok(walkIncoming(state, gone).does.includes('deliver failed'), 'one that ends by itself is not ended')
    }
  })

  it('asks whether the guest is kept as soon as the connection is lost, and waits for half a minute', () => {
    const trouble: IncomingEvent = { kind: 'failed', what: 'passage', reason: REASON }
    assert.deepEqual(walkIncoming(LOADING, lost).does, ['stopPassages', 'ask unsaid', 'wait ask'])
    assert.deepEqual(walkIncoming(LOADING, trouble, lost).does, ['ask unsaid', 'wait ask'])
    const first = walkIncoming(LOADING, lost)
    assert.deepEqual(walkIncoming(first.state, lost).does, [], 'it is lost once')
    const told = Array.from({ length: 30 }).reduce<string[][]>((does, _, count) =>
      [...does, walkIncoming(LOADING, lost, ...Array<IncomingEvent>(count + 1).fill(late('ask'))).does], [])
    assert.deepEqual(told.flatMap((does, count) => does.includes('deliver unanswered') ? [count + 1] : []), [15])
    assert.ok(told.every((does) => does.at(-2) === 'ask unsaid' && does.at(-1) === 'wait ask'))
  })

  it('promises not to run a copy that cannot, writes that down first, and keeps to it', () => {
    const { state, does } = walkIncoming(LOADING, qemu('completed'), givenUp, notReleased)
    assert.deepEqual([state.at, ...does], ['holding', 'record unfit first', 'say unfit'])
    const alone = walkIncoming(state, lost)
    assert.deepEqual(alone.does, ['record unfit', ...HELD, 'ask unfit', 'wait ask'])
    assert.deepEqual(walkIncoming(alone.state, answered({ verdict: 'given-up', runState: 'running' })).does, [])
    assert.deepEqual(walkIncoming(alone.state, answered({ verdict: 'kept' })).does, ['endCopy', 'wait break'])
    assert.deepEqual(walkIncoming(state, kept).does, ['endCopy', 'wait break'])
  })

  it('says of a copy that died whether it may have run', () => {
    assert.ok(walkIncoming(LOADING, qemu('completed'), gone).does.includes('say broken'))
    assert.ok(walkIncoming(LOADING, qemu('completed'), givenUp, gone).does.includes('say fell'))
    assert.ok(walkIncoming(HOLDING, gone).does.includes('ask broken'))
  })

  it('tells once that it holds a copy', () => {
    assert.deepEqual(walkIncoming(HOLDING, lost), { state: HOLDING, does: [] })
  })

  it('tries to end a copy until it is gone', () => {
    const ending = walkIncoming(HOLDING, answered({ verdict: 'kept' }))
    const refused = walkIncoming(ending.state, { kind: 'notEnded', reason: REASON })
    assert.deepEqual(refused.does, ['closeLink', 'goOn', 'deliver unanswered', 'wait ask'])
    const runs = walkIncoming(ending.state, { kind: 'notEnded', reason: { ...REASON, code: 'guest-runs' } })
    assert.deepEqual(runs.does, ['closeLink', 'goOn', 'deliver held', 'wait ask'])
    const again = walkIncoming(refused.state, late('ask'))
    assert.deepEqual(again.does, ['endCopy', 'wait break'])
    // Nobody is told again what he knows.
    assert.deepEqual(walkIncoming(again.state, { kind: 'notEnded', reason: REASON }).does, ['wait ask'])
    assert.deepEqual(walkIncoming(again.state, late('break')).does, [])
    assert.equal(walkIncoming(ending.state, late('break')).does.at(-1), 'deliver unanswered')
    assert.deepEqual(walkIncoming(ending.state, { kind: 'ended' }).does, ['forget', ...CLOSING, 'deliver ended'])
  })

  it('tells the source what its operator decided', () => {
    const ended = walkIncoming(HOLDING, { kind: 'settle', decision: 'end' }, { kind: 'ended' })
    assert.deepEqual(ended.does, ['record broken first', ...CLOSING, 'deliver ended', 'ask broken', 'wait ask'])
    const run = walkIncoming(HOLDING, { kind: 'settle', decision: 'run' })
    assert.deepEqual(run.does, ['record loaded first', 'release running', 'wait confirm'])
  })
})

describe('the incoming end in post-copy', () => {
  it('lets the guest run before its memory is there, and has arrived when it is', () => {
    const { state, does } = walkIncoming(POSTCOPY, givenUp)
    assert.deepEqual([state.at, ...does], ['releasing', 'release running', 'wait confirm'])
    const serving = walkIncoming(state, released)
    assert.deepEqual(serving.state, { at: 'serving', state: 'running', memory: 'coming' })
    assert.deepEqual(serving.does, ['record cut'])
    assert.ok(walkIncoming(serving.state, qemu('completed')).does.includes('say arrived'))
    assert.ok(walkIncoming(state, qemu('completed'), released).does.includes('say arrived'))
  })

  it('is cut by a lost connection, and keeps QEMU\'s session for what may come', () => {
    const serving: IncomingState = { at: 'serving', state: 'running', memory: 'coming' }
    for (const event of [lost, { kind: 'failed', what: 'passage', reason: REASON } as const, qemu('postcopy-paused')]) {
      const { state, does } = walkIncoming(serving, event)
      assert.deepEqual([state.at, ...does], [
        'cut', 'record cut', 'stopPassages', 'closeLink', 'goOn', 'deliver cut', 'wait ask',
      ])
    }
    const cut: IncomingState = { at: 'cut', runState: 'running', state: 'running', why: REASON, isTorn: false }
    assert.ok(walkIncoming(cut, qemu('completed')).does.includes('ask arrived'))
    assert.ok(walkIncoming(cut, gone).does.includes('ask fell'))
    assert.deepEqual(walkIncoming(cut, { kind: 'settle', decision: 'end' }), { state: cut, does: [] })
    assert.deepEqual(walkIncoming(cut, late('ask')), { state: cut, does: ['ask partial', 'wait ask'] })
    // It runs: what is answered to a question of before ends nothing, and lets nothing run again.
    for (const verdict of [{ verdict: 'kept' }, { verdict: 'given-up', runState: 'running' }] as const) {
      assert.deepEqual(walkIncoming(cut, answered(verdict)), { state: cut, does: [] })
    }
  })

  it('is known to be torn once the source QEMU has ended, and is left to the operator', () => {
    const cut: IncomingState = { at: 'cut', runState: 'running', state: 'running', why: REASON, isTorn: false }
    const { state, does } = walkIncoming(cut, answered({ verdict: 'given-up', runState: 'running', isTorn: true }))
    assert.deepEqual([state, does], [{ ...cut, isTorn: true, why: tornHere() }, []])
    assert.deepEqual(walkIncoming(state, late('ask')), { state, does: [] })
    assert.deepEqual(walkIncoming(state, { kind: 'settle', decision: 'end' }), { state, does: [] })
    // All of it was there after all.
    assert.ok(walkIncoming(state, qemu('completed')).does.includes('ask arrived'))
  })

  it('arrives, after a cut, as what its QEMU says that it is, or else as what it was made', () => {
    const serving: IncomingState = { at: 'serving', state: 'paused', memory: 'coming' }
    const { state } = walkIncoming(serving, lost)
    assert.deepEqual(state, { at: 'cut', runState: 'paused', state: 'paused', why: REASON, isTorn: false })
    for (const now of [undefined, 'running'] as const) {
      const completed: IncomingEvent = now === undefined ? qemu('completed')
        : { kind: 'qemu', status: 'completed', state: now }
      const { state: told } = walkIncoming(state, completed)
      assert.deepEqual('ending' in told && told.ending, { as: 'arrived', state: now ?? 'paused' })
    }
  })

  it('is cut as well when the stream breaks while the guest is let run', () => {
    for (const event of [lost, { kind: 'failed', what: 'passage', reason: REASON } as const, qemu('postcopy-paused')]) {
      const { state } = walkIncoming(POSTCOPY, givenUp, event, released)
      assert.ok(state.at === 'cut' && state.state === 'running')
    }
    const refused = walkIncoming(POSTCOPY, givenUp, notReleased)
    assert.ok(refused.state.at === 'cut' && refused.state.state === undefined)
  })

  it('says that it has a part only, and asks what to do with it', () => {
    const { state, does } = walkIncoming(POSTCOPY, qemu('postcopy-paused'))
    assert.deepEqual(does, [
      'record cut', 'stopPassages', 'closeLink', 'goOn', 'deliver cut', 'wait ask',
    ])
    assert.deepEqual(walkIncoming(state, late('ask')).does, ['ask partial', 'wait ask'])
    assert.deepEqual(walkIncoming(state, answered({ verdict: 'kept' })).does, ['endCopy', 'wait break'])
    const let_ = walkIncoming(state, answered({ verdict: 'given-up', runState: 'unknown' }))
    assert.deepEqual(let_.does, ['release running', 'wait confirm'])
    assert.equal(walkIncoming(let_.state, released).state.at, 'cut')
    assert.deepEqual(walkIncoming(state, qemu('completed')).does, ['record loaded', ...HELD, 'ask whole', 'wait ask'])
  })

  it('goes on with a post-copy that was cut', () => {
    const { state, does } = walkIncoming(CUT, { kind: 'rejoin' })
    assert.deepEqual([state.at, ...does], ['checking', 'standBack', 'check'])
    const told = walkIncoming(state, ...greeted.slice(1, 5), givenUp)
    assert.deepEqual([told.state.at, ...told.does], ['releasing', 'release running', 'wait confirm'])
    assert.deepEqual(walkIncoming(told.state, channel, released).state, {
      at: 'serving', state: 'running', memory: 'coming',
    })
    const ran = walkIncoming({ ...CUT, state: 'running' }, { kind: 'rejoin' }, ...greeted.slice(1, 5), givenUp)
    assert.deepEqual(ran.state, { at: 'serving', state: 'running', memory: 'awaited' })
    assert.deepEqual(walkIncoming(ran.state, channel).does, ['openChannel again'])
  })

  it('stays cut when going on fails, and takes what its QEMU says meanwhile', () => {
    const { state } = walkIncoming({ ...CUT, state: 'running' }, { kind: 'rejoin' })
    const refused = walkIncoming(state, { kind: 'failed', what: 'check', reason: REASON })
    assert.deepEqual([refused.state.at, refused.does[0]], ['cut', 'refuse'])
    assert.ok(walkIncoming(state, qemu('completed')).does.includes('ask arrived'))
    assert.ok(walkIncoming(state, gone).does.includes('ask fell'))
    assert.deepEqual(walkIncoming(state, qemu('postcopy-recover')), { state, does: [] })
  })
})
