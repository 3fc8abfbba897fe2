/** Walks a conversation's end through events, and tells what it does in short words. */
import type { IncomingEffect, IncomingEvent, IncomingState } from '../../../src/conversation/incomingstate.ts'
import { stepIncoming } from '../../../src/conversation/incomingstep.ts'
import type { OutgoingEffect, OutgoingEvent, OutgoingState } from '../../../src/conversation/outgoingstate.ts'
import { stepOutgoing } from '../../../src/conversation/outgoingstep.ts'

export interface Walk<State> {
  state: State
  /** What was done in the last step. */
  does: string[]
}

export function walkOutgoing(state: OutgoingState, ...events: OutgoingEvent[]): Walk<OutgoingState> {
  return events.reduce<Walk<OutgoingState>>((walk, event) => {
    const step = stepOutgoing(walk.state, event)
    return { state: step.state, does: step.effects.map(wordsOf) }
  }, { state, does: [] })
}

export function walkIncoming(state: IncomingState, ...events: IncomingEvent[]): Walk<IncomingState> {
  return events.reduce<Walk<IncomingState>>((walk, event) => {
    const step = stepIncoming(walk.state, event)
    return { state: step.state, does: step.effects.map(wordsOf) }
  }, { state, does: [] })
}

/** An effect in a few words, such as `say givenUp` or `record moving first`. */
export function wordsOf(effect: OutgoingEffect | IncomingEffect): string {
  switch (effect.do) {
    case 'say': return `say ${effect.message.kind}`
    case 'record': return `record ${effect.as}${effect.isFirst ? ' first' : ''}`
    case 'start': return effect.resume ? 'start again' : 'start'
    case 'openChannel': return 'recover' in effect && effect.recover ? 'openChannel again' : 'openChannel'
    case 'wait': return `wait ${effect.wait}`
    case 'deliver': return `deliver ${effect.ending.as}`
    case 'answer': return `answer ${effect.verdict.verdict}`
    case 'ask': return `ask ${effect.copy.kind}`
    case 'release': case 'takeBack': return `${effect.do} ${effect.runState}`
    default: return effect.do
  }
}

/** What every end does when it comes to rest. */
export const CLOSING = ['stopPassages', 'closeLink', 'closeDriver', 'goOn']
