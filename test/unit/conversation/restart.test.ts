import assert from 'node:assert/strict'

import type { IncomingRecordedAs } from '../../../src/conversation/incomingstate.ts'
import type { OutgoingRecordedAs } from '../../../src/conversation/outgoingstate.ts'
import { restartIncoming, restartOutgoing, type Facts } from '../../../src/conversation/restart.ts'
import { CLOSING, wordsOf } from './walk.ts'

const DEAD: Facts = { alive: false }
const alive = (status: string, state: 'running' | 'paused' | 'postmigrate' = 'paused'): Facts =>
  ({ alive: true, status, state })

function outgoing(as: OutgoingRecordedAs, facts: Facts): string[] {
  const { state, effects } = restartOutgoing({ as, runState: 'running' }, facts)
  return [state.at, ...effects.map(wordsOf)]
}

function incoming(as: IncomingRecordedAs, facts: Facts): string[] {
  const { state, effects } = restartIncoming({ as, runState: 'running' }, facts)
  return [state.at, ...effects.map(wordsOf)]
}

describe('a restarted agent of the source', () => {
  it('asks a QEMU that still migrates to give up', () => {
    for (const status of ['setup', 'active', 'device', 'cancelling']) {
      assert.deepEqual(outgoing('moving', alive(status)), ['stopping', 'cancelQemu', 'wait giveUp'])
    }
    const { state } = restartOutgoing({ as: 'moving', runState: 'unknown' }, alive('cancelling'))
    assert.ok(state.at === 'stopping' && state.isCancelling && state.link === 'lost')
  })

  it('knows that a QEMU which switches over to post-copy was not told to give up', () => {
    const { state } = restartOutgoing({ as: 'moving', runState: 'paused' }, alive('postcopy-active'))
    assert.deepEqual(state, {
      at: 'handingOver', link: 'lost', copy: 'unknown', runState: 'paused', isCancelling: false,
    })
    const active = restartOutgoing({ as: 'moving', runState: 'paused' }, alive('active')).state
    assert.ok(active.at === 'stopping' && !active.isCancelling)
  })

  it('believes what QEMU decided meanwhile', () => {
    for (const status of ['none', 'failed', 'cancelled']) {
      assert.deepEqual(outgoing('moving', alive(status)), ['over', 'record kept', ...CLOSING, 'deliver kept'])
    }
    assert.deepEqual(outgoing('moving', alive('completed', 'postmigrate')), [
      'unconfirmed', 'closeDriver', 'deliver unconfirmed',
    ])
  })

  it('knows that a guest which runs here again was not given up for good', () => {
    for (const as of ['moving', 'given-up', 'held'] as const) {
      assert.deepEqual(outgoing(as, alive('completed', 'running')), ['over', 'record kept', ...CLOSING, 'deliver kept'])
    }
  })

  it('gives nothing up of a QEMU that died unheard, but keeps to what it said before', () => {
    assert.deepEqual(outgoing('moving', DEAD), ['orphaned', 'deliver undecided'])
    assert.deepEqual(outgoing('orphaned', DEAD), ['orphaned', 'deliver orphaned'])
    assert.deepEqual(outgoing('given-up', DEAD), ['unconfirmed', 'closeDriver', 'deliver unconfirmed'])
  })

  it('knows why it may say that it gave the guest up: a QEMU that is there may take it back', () => {
    const cases: [OutgoingRecordedAs, Facts, string][] = [
      ['given-up', alive('completed', 'postmigrate'), 'completed'], ['given-up', DEAD, 'dead'],
      ['moving', alive('completed', 'postmigrate'), 'completed'], ['cut', DEAD, 'torn'],
      // QEMU has another migration by now.
      ['given-up', alive('none'), 'dead'],
    ]
    for (const [as, facts, cause] of cases) {
      const { state } = restartOutgoing({ as, runState: 'paused' }, facts)
      assert.ok(state.at === 'unconfirmed' && state.cause === cause && state.link === 'lost', `${as} ${cause}`)
      assert.equal(state.runState, 'paused')
    }
  })

  it('knows whether a guest may have gone on here before its QEMU died', () => {
    for (const [as, mayHaveGoneOn] of [['moving', true], ['orphaned', false]] as const) {
      const { state } = restartOutgoing({ as, runState: 'paused' }, DEAD)
      assert.ok(state.at === 'orphaned' && state.mayHaveGoneOn === mayHaveGoneOn && !state.isCancelling, as)
      assert.deepEqual([state.copy, state.link, state.runState], ['unknown', 'lost', 'paused'])
    }
  })

  it('goes on taking the guest back', () => {
    assert.deepEqual(outgoing('taking-back', alive('completed', 'postmigrate')), [
      'takingBack', 'record taking-back first', 'takeBack running', 'wait undecided',
    ])
  })

  it('answers for what was decided', () => {
    assert.deepEqual(outgoing('kept', DEAD).at(-1), 'deliver kept')
    assert.deepEqual(outgoing('held', alive('completed', 'postmigrate')).at(-1), 'deliver held')
  })

  it('knows a post-copy that was cut, broke off, or ended', () => {
    for (const status of ['postcopy-paused', 'postcopy-recover']) {
      assert.equal(outgoing('moving', alive(status))[0], 'cut')
      assert.equal(outgoing('cut', alive(status))[0], 'cut')
    }
    assert.equal(outgoing('cut', alive('postcopy-active'))[0], 'cut')
    assert.deepEqual(outgoing('moving', alive('postcopy-active')), ['handingOver', 'stopPassages', 'wait undecided'])
    assert.deepEqual(outgoing('cut', DEAD), ['unconfirmed', ...CLOSING, 'deliver orphaned'])
    const { state } = restartOutgoing({ as: 'cut', runState: 'running' }, alive('completed', 'postmigrate'))
    assert.ok(state.at === 'unconfirmed' && state.cause === 'postcopy')
  })
})

describe('a restarted agent of the destination', () => {
  it('holds a whole copy, and asks', () => {
    for (const as of ['loading', 'loaded'] as const) {
      assert.deepEqual(incoming(as, alive('completed')), [
        'holding', 'record loaded', ...CLOSING, 'deliver held', 'ask whole', 'wait ask',
      ])
    }
    assert.deepEqual(incoming('unfit', alive('completed')), [
      'holding', 'record unfit', ...CLOSING, 'deliver held', 'ask unfit', 'wait ask',
    ])
  })

  it('knows a guest that runs as one that arrived', () => {
    assert.ok(incoming('loaded', alive('completed', 'running')).includes('ask arrived'))
    assert.ok(incoming('arrived', DEAD).includes('ask arrived'))
    const { state } = restartIncoming({ as: 'arrived', runState: 'paused' }, alive('completed'))
    assert.ok(state.at === 'telling' && state.copy.kind === 'arrived' && state.copy.state === 'paused')
  })

  it('says of a dead copy that it may have run, unless it was promised that it would not', () => {
    for (const as of ['loading', 'loaded', 'cut'] as const) assert.ok(incoming(as, DEAD).includes('ask fell'), as)
    for (const as of ['unfit', 'broken'] as const) assert.ok(incoming(as, DEAD).includes('ask broken'), as)
  })

  it('leaves a QEMU waiting that was told nothing, and gives up one that waits for nobody', () => {
    assert.deepEqual(incoming('loading', alive('none')), ['over', 'forget', ...CLOSING, 'deliver failed'])
    assert.ok(incoming('loading', alive('setup')).includes('ask broken'))
    assert.ok(incoming('loading', alive('failed')).includes('ask broken'))
  })

  it('lets a QEMU that still loads say what it has', () => {
    assert.deepEqual(incoming('loading', alive('active')), ['breaking', 'stopPassages', 'ask unsaid', 'wait ask'])
  })

  it('asks for a post-copy that was cut, whether the guest was let run or not', () => {
    assert.ok(incoming('cut', alive('postcopy-paused')).includes('wait ask'))
    assert.deepEqual(incoming('cut', alive('postcopy-paused', 'running')).slice(-2), ['deliver cut', 'wait ask'])
    for (const status of ['postcopy-active', 'postcopy-paused', 'postcopy-recover']) {
      for (const guest of ['running', 'paused'] as const) {
        const { state } = restartIncoming({ as: 'cut', runState: 'paused' }, alive(status, guest))
        assert.ok(state.at === 'cut' && state.runState === 'paused', status)
        assert.equal(state.state, guest === 'running' ? 'running' : undefined)
      }
    }
  })

  it('knows of a copy that still loads what the record tells, and not that it was kept', () => {
    const { state } = restartIncoming({ as: 'loading', runState: 'shutdown' }, alive('active'))
    assert.ok(state.at === 'breaking' && !state.isKept && state.link === 'lost' && state.runState === 'shutdown')
  })

  it('takes a guest that arrived for one that runs, where nobody wrote down what it was', () => {
    const { state } = restartIncoming({ as: 'arrived', runState: 'unknown' }, alive('completed'))
    assert.ok(state.at === 'telling' && state.copy.kind === 'arrived' && state.copy.state === 'running')
  })
})
