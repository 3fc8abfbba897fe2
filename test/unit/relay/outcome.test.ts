import assert from 'node:assert/strict'

import { endingOf, NOTHING_TOLD, outcomeOf, type MainChannel, type StreamOutcome } from '../../../src/relay/outcome.ts'

const RAM: MainChannel = { ...NOTHING_TOLD, isMigration: true }
const SHUT = { hasReturnEnded: true, shut: 0 }

describe('what a main channel tells of its end', () => {
  const ways: [string, MainChannel, StreamOutcome][] = [
    ['nothing, where it is no migration', { ...NOTHING_TOLD, hasStreamEnded: true, ...SHUT }, 'foreign'],
    ['a pre-copy that is complete', { ...RAM, hasRamEnded: true, hasStreamEnded: true, ...SHUT }, 'loaded'],
    ['a post-copy that is complete', { ...RAM, isPostcopy: true, hasStreamEnded: true, ...SHUT }, 'loaded'],
    ['a cancel', { ...RAM, hasStreamEnded: true, hasReturnEnded: true }, 'cancelled'],
    ['a cancel whose answer broke', { ...RAM, hasStreamEnded: true }, 'cancelled'],
    ['a destination that died inside RAM', { ...RAM, hasReturnEnded: true, hasReturnEndedFirst: true }, 'failed'],
    [
      'the same, where the source then ended in order',
      { ...RAM, hasStreamEnded: true, hasReturnEnded: true, hasReturnEndedFirst: true }, 'failed',
    ],
    ['a load that failed, in QEMU\'s own word', { ...RAM, hasReturnEnded: true, shut: 1 }, 'failed'],
    ['a load that failed by a reset', RAM, 'failed'],
    ['a post-copy whose network broke', { ...RAM, isPostcopy: true }, 'cut'],
    ['a post-copy whose destination died', { ...RAM, isPostcopy: true, hasReturnEnded: true }, 'cut'],
    ['devices on their way, and no word', { ...RAM, hasRamEnded: true }, 'open'],
    ['a load of devices that failed', { ...RAM, hasRamEnded: true, isUnloaded: true }, 'failed'],
    ['the same, in a post-copy', { ...RAM, isPostcopy: true, isUnloaded: true }, 'cut'],
    ['a cancel after which the destination was ended', { ...RAM, hasStreamEnded: true, isUnloaded: true }, 'cancelled'],
    ['no return path', { ...RAM, hasRamEnded: true, hasStreamEnded: true, hasReturnEnded: true }, 'open'],
  ]
  for (const [what, told, expected] of ways) it(what, () => assert.equal(outcomeOf(told), expected))
})

describe('what is said of a relayed migration', () => {
  it('is that it completed only where the destination has it and the source QEMU is gone', () => {
    const outcomes: StreamOutcome[] = ['loaded', 'cancelled', 'failed', 'cut', 'open', 'foreign']
    for (const outcome of outcomes) {
      for (const process of ['lives', 'gone', 'unknown'] as const) {
        const { status, code, reason } = endingOf(outcome, process, 'b')
        assert.equal(status === 'completed', outcome === 'loaded' && process === 'gone')
        assert.equal(status === 'completed', code === undefined && reason === undefined)
      }
    }
  })

  it('is that the guest stays only where its QEMU lives', () => {
    assert.equal(endingOf('cancelled', 'lives', 'b').status, 'cancelled')
    assert.equal(endingOf('failed', 'lives', 'b').status, 'failed')
    for (const process of ['gone', 'unknown'] as const) {
      assert.equal(endingOf('cancelled', process, 'b').status, 'unknown')
      assert.equal(endingOf('failed', process, 'b').status, 'unknown')
    }
  })

  it('names the host', () => {
    assert.match(endingOf('loaded', 'lives', 'host-b').reason!, /host-b has the whole guest/)
    assert.match(endingOf('cut', 'lives', 'host-b').reason!, /end neither QEMU/)
  })
})
