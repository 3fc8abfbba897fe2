import assert from 'node:assert/strict'

import type {
  IncomingMessage, OutgoingEnding, OutgoingMessage, OutgoingState, Reason,
} from '../../../src/conversation/index.ts'
import { LastWords } from '../../../src/handoff/lastwords.ts'
import { deferred } from '../../../src/runtime/wait.ts'
import type { Link } from '../../../src/transfer/index.ts'
import { settle } from '../../support/passagerelay.ts'
import { SteppedClock } from '../../support/steppedclock.ts'

const CLOSED: OutgoingEnding = { as: 'kept', reason: { code: 'lane-lost', message: 'It closed.', fault: 'network' } }
const CANCELLED: OutgoingEnding = { as: 'kept', reason: { code: 'cancelled', message: 'No.', fault: 'cancelled' } }

function over(ending: OutgoingEnding): OutgoingState {
  return { at: 'over', ending }
}

/** A link that only says whether it was closed, and for which fault; that takes as long as `closing` does. */
function linkThat(
  isOver: boolean, closing?: Promise<void>,
): { link: Link<OutgoingMessage, IncomingMessage>; closed: string[] } {
  const closed: string[] = []
  const close = async (fault?: Reason): Promise<void> => {
    closed.push(fault === undefined ? 'closed' : `closed for ${fault.code}`)
    await closing
  }
  return { link: { isOver, close } as unknown as Link<OutgoingMessage, IncomingMessage>, closed }
}

describe('last words of a destination', () => {
  it('explain why a stream\'s lane was closed, though they come after its end', async () => {
    const words = new LastWords({ clock: new SteppedClock() })
    const { link, closed } = linkThat(false)
    const closing = words.close(link, over(CLOSED), undefined)
    await Promise.resolve()
    assert.deepEqual(closed, [])
    words.note({ kind: 'trouble', reason: 'QEMU closed its connection.' })
    words.note({ kind: 'broken', reason: 'QEMU ended.' })
    await closing
    assert.deepEqual(closed, ['closed'])
    assert.deepEqual(words.explain(CLOSED), {
      as: 'kept', reason: { code: 'failed-at-destination', message: 'QEMU ended.', fault: 'peer' },
    })
  })

  it('are waited for no longer than a moment', async () => {
    const clock = new SteppedClock()
    const words = new LastWords({ clock })
    const { link, closed } = linkThat(false)
    const closing = words.close(link, over(CLOSED), undefined)
    await clock.until(() => closed.length > 0)
    await closing
    assert.equal(clock.now(), 500)
    assert.deepEqual(words.explain(CLOSED), CLOSED)
  })

  it('are not waited for where the link is lost, or the reason is known', async () => {
    for (const [isOver, ending] of [[true, CLOSED], [false, CANCELLED]] as const) {
      const words = new LastWords({ clock: new SteppedClock() })
      const { link, closed } = linkThat(isOver)
      await words.close(link, over(ending), undefined)
      assert.deepEqual(closed, ['closed'])
    }
  })

  it('are not waited for before a handoff is over, or where there is no link', async () => {
    const words = new LastWords({ clock: new SteppedClock() })
    const { link, closed } = linkThat(false)
    await words.close(link, { at: 'cut', runState: 'running' }, undefined)
    assert.deepEqual(closed, ['closed'])
    await words.close(undefined, over(CLOSED), undefined)
  })

  it('are over when the link is closed, and it is told what the other end said out of place', async () => {
    const closing = deferred<void>()
    const { link, closed } = linkThat(false, closing.promise)
    let isOver = false
    const fault: Reason = { code: 'bad-frame', message: 'It said hello twice.', fault: 'peer' }
    const done = new LastWords({ clock: new SteppedClock() }).close(link, over(CANCELLED), fault)
      .then(() => { isOver = true })
    await settle(5)
    assert.deepEqual([closed, isOver], [['closed for bad-frame'], false])
    closing.resolve()
    await done
  })

  it('do not replace what is known', () => {
    const words = new LastWords({ clock: new SteppedClock() })
    words.note({ kind: 'trouble', reason: 'It was cut.' })
    const held: OutgoingEnding = { as: 'held', reason: { code: 'lane-lost', message: 'It closed.', fault: 'network' } }
    for (const ending of [CANCELLED, held]) assert.deepEqual(words.explain(ending), ending)
  })

  it('are those that say that something is wrong', () => {
    const words = new LastWords({ clock: new SteppedClock() })
    const others: IncomingMessage[] = [{ kind: 'whole' }, { kind: 'unfit', reason: 'locked' }]
    for (const message of others) words.note(message)
    assert.deepEqual(words.explain(CLOSED), CLOSED)
    for (const kind of ['trouble', 'broken'] as const) {
      words.note({ kind, reason: kind })
      const said = words.explain(CLOSED)
      assert.equal('reason' in said && said.reason.message, kind)
    }
  })
})
