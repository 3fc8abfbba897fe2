/**
 * How the outgoing end of a conversation ends: the source QEMU has decided, or post-copy has handed the guest over.
 * Also the transitions that its states share: keeping the guest, giving it up, coming to rest.
 */
import {
  type CopyNews, type Link, type Reason, type RunState, type Verdict,
} from './conversation.ts'
import type {
  LeavingCause, Moving, OutgoingAt, OutgoingEffect, OutgoingEnding, OutgoingEvent, OutgoingRecordedAs, OutgoingState,
  OutgoingStep,
} from './outgoingstate.ts'
import { fromOther, sentenceOf, sourceEnded, torn } from './reasons.ts'

export function stay(state: OutgoingState): OutgoingStep {
  return { state, effects: [] }
}

export function withEffects(before: OutgoingEffect[], { state, effects }: OutgoingStep): OutgoingStep {
  return { state, effects: [...before, ...effects] }
}

export function addFetched(state: OutgoingState, body: Buffer): OutgoingStep {
  return { state, effects: [{ do: 'addFetched', body }] }
}

/** A record that need not be on disk before the next effect: a restarted agent learns the same by asking QEMU. */
export function outgoingRecord(as: OutgoingRecordedAs, runState: RunState): OutgoingEffect {
  return { do: 'record', as, runState, isFirst: false }
}

const closing: readonly OutgoingEffect[] = [
  { do: 'stopPassages' }, { do: 'closeLink' }, { do: 'closeDriver' }, { do: 'goOn' },
]

/** Closes, restores and resumes all that was opened, changed or paused, and reports the result. */
export function rest(ending: OutgoingEnding, before: OutgoingEffect[] = []): OutgoingStep {
  return { state: { at: 'over', ending }, effects: [...before, ...closing, { do: 'deliver', ending }] }
}

export function lose(reason: Reason): OutgoingStep {
  return rest({ as: 'lost', reason }, [{ do: 'forget' }])
}

/** Recorded first: once answered, the destination's host will not report its copy again. */
export function heldAt(runState: RunState, reason: Reason): OutgoingStep {
  return rest({ as: 'held', reason }, [{ do: 'record', as: 'held', runState, isFirst: true }])
}

export function complete({ state, summary }: Extract<CopyNews, { kind: 'arrived' }>): OutgoingStep {
  return rest({ as: 'completed', state, summary }, [{ do: 'forget' }])
}

export function movingOf({ link, copy, runState, isCancelling }: Moving): Moving {
  return { link, copy, runState, isCancelling }
}

/** Asks the source QEMU to give up; its answer decides. */
export function stop(moving: Moving, reason: Reason, isWish = false): OutgoingStep {
  return {
    state: { at: 'stopping', reason, isWish, ...moving },
    effects: [{ do: 'cancelQemu' }, { do: 'wait', wait: 'giveUp' }],
  }
}

/** The source QEMU's migration ended without completing: the guest stays here. */
export function keep({ link, runState }: { link: Link; runState: RunState }, reason: Reason): OutgoingStep {
  const told: OutgoingEffect[] = link === 'up'
    ? [{ do: 'say', message: { kind: 'kept', reason: sentenceOf(reason) } }] : []
  return rest({ as: 'kept', reason }, [...told, outgoingRecord('kept', runState)])
}

/** The source gave the guest up: from now on the destination's copy is the guest. */
export function leave({ link, runState }: { link: Link; runState: RunState }, cause: LeavingCause): OutgoingStep {
  const told = cause === 'completed' || cause === 'dead'
    ? [...tellGivenUp({ link, runState }, cause === 'completed'), outgoingRecord('given-up', runState)] : []
  return { state: { at: 'leaving', cause, link, runState }, effects: [...told, { do: 'wait', wait: 'confirm' }] }
}

export function tellGivenUp(
  { link, runState }: { link: Link; runState: RunState }, isWhole = false,
): OutgoingEffect[] {
  if (link !== 'up') return []
  return [{ do: 'say', message: { kind: 'givenUp', runState, ...(isWhole ? { isWhole } : {}) } }]
}

/** The source QEMU has died. If the destination's copy is whole, it is the only one; if not, none is left. */
export function settleOrphan(state: OutgoingAt<'orphaned'>, effects: OutgoingEffect[]): OutgoingStep {
  if (state.copy === 'broken') return lose(state.reason)
  // If the guest may have gone on here, it may have written to its disks: only the operator knows which copy is good.
  if (state.copy === 'whole' && !state.mayHaveGoneOn) return withEffects(effects, leave(state, 'dead'))
  return { state, effects }
}

/** Given up; waits for the destination's confirmation, over the link or when its host asks. */
export function stepLeaving(state: OutgoingAt<'leaving' | 'unconfirmed'>, event: OutgoingEvent): OutgoingStep {
  switch (event.kind) {
    case 'message':
      switch (event.message.kind) {
        case 'fetched': case 'trouble': case 'bitmap': return stay(state)
        default: return stepConfirmed(state, event.message)
      }
    case 'linkLost':
      return stay({ ...state, link: 'lost' })
    case 'gone':
      return state.cause === 'completed' ? stay({ ...state, cause: 'dead' }) : stay(state)
    case 'late': {
      if (state.at === 'unconfirmed' || event.wait !== 'confirm') return stay(state)
      const ending: OutgoingEnding = state.cause === 'torn' ? { as: 'orphaned', reason: torn() } : { as: 'unconfirmed' }
      return {
        state: { ...state, at: 'unconfirmed', link: 'lost' }, effects: [...closing, { do: 'deliver', ending }],
      }
    }
    default:
      return stay(state)
  }
}

export function stepConfirmed(state: OutgoingAt<'leaving' | 'unconfirmed'>, copy: CopyNews): OutgoingStep {
  const { cause, link, runState } = state
  switch (copy.kind) {
    case 'whole': case 'partial': case 'unsaid':
      return stay(state)
    case 'arrived':
      return complete(copy)
    case 'unfit': case 'broken': {
      const reason = fromOther(copy.reason)
      if (cause === 'completed') return takeBack({ at: 'takingBack', reason, copy: copy.kind, link, runState })
      return copy.kind === 'unfit' ? heldAt(runState, reason) : lose(reason)
    }
    case 'fell': {
      const reason = fromOther(copy.reason)
      return cause === 'completed' ? heldAt(runState, reason) : lose(reason)
    }
  }
}

/** Recorded first: from now on this host must not say `given up`. */
export function takeBack(state: OutgoingAt<'takingBack'>): OutgoingStep {
  const { runState } = state
  return {
    state,
    effects: [
      { do: 'record', as: 'taking-back', runState, isFirst: true }, { do: 'takeBack', runState },
      { do: 'wait', wait: 'undecided' },
    ],
  }
}

/** The destination promised never to run its copy; the source's copy goes on. */
export function stepTakingBack(state: OutgoingAt<'takingBack'>, event: OutgoingEvent): OutgoingStep {
  const { reason, copy, runState } = state
  switch (event.kind) {
    case 'takenBack':
      return keep(state, reason)
    case 'notTakenBack': case 'gone': {
      const why = { ...reason, message: `${reason.message} The source could not go on either: ${event.reason.message}` }
      return event.kind === 'gone' && copy === 'broken' ? lose(why) : heldAt(runState, why)
    }
    case 'linkLost':
      return stay({ ...state, link: 'lost' })
    case 'message':
      return event.message.kind === 'broken' ? stay({ ...state, copy: 'broken' }) : stay(state)
    case 'late':
      return {
        state: { ...state, link: 'lost' },
        effects: [
          { do: 'stopPassages' }, { do: 'closeLink' }, { do: 'goOn' },
          { do: 'deliver', ending: { as: 'undecided', reason } },
        ],
      }
    default:
      return stay(state)
  }
}

/** Post-copy: the guest runs at the destination; this host sends the rest of its memory. */
export function stepServing(state: OutgoingAt<'serving'>, event: OutgoingEvent): OutgoingStep {
  const { runState } = state
  switch (event.kind) {
    case 'message':
      switch (event.message.kind) {
        case 'fetched': return addFetched(state, event.message.body)
        case 'trouble': case 'bitmap': return stay(state)
        default: return stepServed(state, event.message, runState)
      }
    case 'begun':
      return state.link === 'up' ? { state, effects: [{ do: 'openChannel' }] } : stay(state)
    case 'switchover':
      return stay({ ...state, runState: event.runState })
    case 'qemu':
      if (event.status === 'completed') return leave(state, 'postcopy')
      return event.status === 'postcopy-paused' ? cut(runState, sourceEnded(event.status, event.error)) : stay(state)
    case 'gone':
      // QEMU may have completed unheard; then the destination has the whole memory.
      return leave(state, 'torn')
    case 'linkLost': case 'failed':
      return cut(runState, event.reason)
    default:
      return stay(state)
  }
}

/** The destination's report on a guest that post-copy has handed over. */
export function stepServed(state: OutgoingState, copy: CopyNews, runState: RunState): OutgoingStep {
  switch (copy.kind) {
    case 'arrived': {
      const step = complete(copy)
      if (state.at !== 'serving') return step
      // The destination QEMU's last message to the source QEMU may be in flight: let the passages end by themselves.
      return { ...step, effects: step.effects.filter((effect) => effect.do !== 'stopPassages') }
    }
    case 'broken': case 'fell':
      return lose(fromOther(copy.reason))
    case 'unfit':
      return heldAt(runState, fromOther(copy.reason))
    default:
      return stay(state)
  }
}

export function cut(runState: RunState, reason: Reason): OutgoingStep {
  return {
    state: { at: 'cut', runState },
    effects: [
      outgoingRecord('cut', runState), { do: 'stopPassages' }, { do: 'closeLink' }, { do: 'goOn' },
      { do: 'deliver', ending: { as: 'cut', reason } },
    ],
  }
}

/** The source QEMU died during post-copy: the guest is whole only if all its memory had been sent. */
export function tear(runState: RunState, reason: Reason): OutgoingStep {
  return {
    state: { at: 'unconfirmed', cause: 'torn', link: 'lost', runState },
    effects: [...closing, { do: 'deliver', ending: { as: 'orphaned', reason } }],
  }
}

export function stepCut(state: OutgoingAt<'cut'>, event: OutgoingEvent): OutgoingStep {
  const { runState } = state
  switch (event.kind) {
    case 'rejoin':
      return {
        state: { at: 'preparing', plan: { kind: 'rejoin', runState } },
        effects: [{ do: 'standBack' }, { do: 'prepare' }],
      }
    case 'qemu':
      // The source QEMU got the destination QEMU's last message before the break.
      if (event.status !== 'completed') return stay(state)
      return {
        state: { at: 'unconfirmed', cause: 'postcopy', link: 'lost', runState },
        effects: [...closing, { do: 'deliver', ending: { as: 'unconfirmed' } }],
      }
    case 'gone':
      return tear(runState, event.reason)
    default:
      return stay(state)
  }
}

/** What this host may say about its copy in each state. */
export function verdictOf(state: OutgoingState): Verdict {
  switch (state.at) {
    case 'leaving': case 'unconfirmed':
      return { verdict: 'given-up', runState: state.runState, ...(state.cause === 'torn' ? { isTorn: true } : {}) }
    case 'serving': case 'cut':
      return { verdict: 'given-up', runState: state.runState }
    case 'over':
      return verdictOfEnding(state.ending)
    case 'orphaned':
      return { verdict: state.mayHaveGoneOn ? 'unknown' : 'pending' }
    case 'preparing': case 'offering': case 'linking': case 'listing': case 'starting':
      return state.plan.kind === 'rejoin'
        ? { verdict: 'given-up', runState: state.plan.runState } : { verdict: 'pending' }
    default:
      return { verdict: 'pending' }
  }
}

function verdictOfEnding(ending: OutgoingEnding): Verdict {
  switch (ending.as) {
    case 'kept': case 'estimated': return { verdict: 'kept' }
    case 'completed': return { verdict: 'given-up', runState: ending.state }
    default: return { verdict: 'unknown' }
  }
}
