import assert from 'node:assert/strict'

import type { IncomingMessage, OutgoingEnding, OutgoingState } from '../../../src/conversation/index.ts'
import { LastWords } from '../../../src/handoff/lastwords.ts'
import type { Link } from '../../../src/handoff/link.ts'
import { SteppedClock } from '../census/steppedclock.ts'

const CLOSED: OutgoingEnding = { as: 'kept', reason: { code: 'lane-lost', message: 'It closed.', fault: 'network' } }
const CANCELLED: OutgoingEnding = { as: 'kept', reason: { code: 'cancelled', message: 'No.', fault: 'cancelled' } }

function over(ending: OutgoingEnding): OutgoingState {
  return { at: 'over', ending }
}

/** A link that only says whether it was closed. */
function linkThat(isOver: boolean): { link: Link<IncomingMessage>; closed: string[] } {
  const closed: string[] = []
  const link = { isOver, close: async () => { closed.push('closed') } } as unknown as Link<IncomingMessage>
  return { link, closed }
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

  it('do not replace what is known', () => {
    const words = new LastWords({ clock: new SteppedClock() })
    words.note({ kind: 'trouble', reason: 'It was cut.' })
    assert.deepEqual(words.explain(CANCELLED), CANCELLED)
  })
})
