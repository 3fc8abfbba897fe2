/**
 * How the incoming end of a conversation ends: the copy is let run, held, ended, or was never whole. Also the
 * transitions that its states share.
 */
import type { GuestState } from '../guest/index.ts'
import type { AskingNews, CopyNews, IncomingMessage, Link, Reason, RunState, Verdict } from './conversation.ts'
import type {
  IncomingAt, IncomingEffect, IncomingEnding, IncomingEvent, IncomingPlan, IncomingRecordedAs, IncomingState,
  IncomingStep, Memory,
} from './incomingstate.ts'
import { fromSource, paused, settled, silent, tornHere, unknownRunState } from './reasons.ts'

export function stay(state: IncomingState): IncomingStep {
  return { state, effects: [] }
}

export function withEffects(before: IncomingEffect[], { state, effects }: IncomingStep): IncomingStep {
  return { state, effects: [...before, ...effects] }
}

export function say(message: IncomingMessage): IncomingEffect {
  return { do: 'say', message }
}

/**
 * A record that need not be on disk before the next effect: a restarted agent learns the same by asking QEMU or the
 * source's host.
 */
export function incomingRecord(as: IncomingRecordedAs, runState: RunState): IncomingEffect {
  return { do: 'record', as, runState, isFirst: false }
}

const closing: readonly IncomingEffect[] = [
  { do: 'stopPassages' }, { do: 'closeLink' }, { do: 'closeDriver' }, { do: 'goOn' },
]

/** Closes, restores and resumes all that was opened, changed or paused. */
export function rest(ending: IncomingEnding, before: IncomingEffect[] = []): IncomingStep {
  return { state: { at: 'over', ending }, effects: [...before, ...closing, { do: 'deliver', ending }] }
}

/** Reports the copy's fate to the source's host until it answers, because a message may be lost; then rests. */
export function tell(
  link: Link, copy: Exclude<CopyNews, AskingNews>, ending: IncomingEnding, before: IncomingEffect[] = [],
): IncomingStep {
  return {
    state: { at: 'telling', copy, ending },
    effects: [
      ...before, ...(link === 'up' ? [say(copy)] : []), ...closing, { do: 'deliver', ending },
      ...(link === 'up' ? [] : [{ do: 'ask', copy } as const]), { do: 'wait', wait: 'ask' },
    ],
  }
}

export function stepTelling(state: IncomingAt<'telling'>, event: IncomingEvent): IncomingStep {
  switch (event.kind) {
    case 'answered':
      // An answer to an earlier question: the source's host has not heard of this copy yet.
      if (event.asked !== state.copy.kind || event.verdict.verdict === 'pending') return stay(state)
      return { state: { at: 'over', ending: state.ending }, effects: [{ do: 'forget' }, { do: 'dismiss' }] }
    case 'late':
      return { state, effects: [{ do: 'ask', copy: state.copy }, { do: 'wait', wait: 'ask' }] }
    default:
      return stay(state)
  }
}

export function refused(plan: IncomingPlan, reason: Reason): IncomingStep {
  return withEffects([{ do: 'refuse', reason }], failed(plan, reason))
}

/** Failed before the stream began: QEMU still waits for a migration; a cut post-copy stays cut. */
export function failed(plan: IncomingPlan, reason: Reason): IncomingStep {
  if (plan.kind === 'rejoin') return cut({ runState: plan.runState, state: plan.state, why: reason })
  return rest({ as: 'failed', reason }, [{ do: 'forget' }])
}

/**
 * The copy never ran and never will be whole. Recorded first, as every promise is; the source's host is told of the
 * trouble meanwhile.
 */
export function broke(link: Link, reason: Reason): IncomingStep {
  return tell(link, { kind: 'broken', reason: reason.message }, { as: 'failed', reason }, [
    ...(link === 'up' ? [say({ kind: 'trouble', reason: reason.message })] : []),
    { do: 'record', as: 'broken', runState: 'unknown', isFirst: true },
  ])
}

export function arrived(link: Link, state: GuestState): IncomingStep {
  return tell(link, { kind: 'arrived', state, summary: undefined }, { as: 'arrived', state }, [
    { do: 'record', as: 'arrived', runState: state, isFirst: true },
  ])
}

export function fell(link: Link, reason: Reason): IncomingStep {
  return tell(link, { kind: 'fell', reason: reason.message }, { as: 'fell', reason })
}

/** Puts the copy into its run state at switchover; holds it if that state is unknown. */
export function release(
  { link, runState, memory }: { link: Link; runState: RunState; memory: Memory }, known: RunState,
): IncomingStep {
  const wanted = runState === 'unknown' ? known : runState
  if (wanted === 'unknown') {
    const why = unknownRunState()
    return memory === 'whole' ? hold({ why, link: 'lost', runState: wanted, copy: { kind: 'whole' } })
      : cut({ runState: wanted, state: undefined, why })
  }
  return {
    state: { at: 'releasing', link, runState: wanted, memory },
    effects: [{ do: 'release', runState: wanted }, { do: 'wait', wait: 'confirm' }],
  }
}

export function stepReleasing(state: IncomingAt<'releasing'>, event: IncomingEvent): IncomingStep {
  const { link, runState, memory } = state
  switch (event.kind) {
    case 'released':
      if (memory === 'whole') return arrived(link, event.state)
      if (memory === 'cut' || link === 'lost') return cut({ runState, state: event.state, why: paused() })
      return { state: { at: 'serving', state: event.state, memory }, effects: [incomingRecord('cut', runState)] }
    case 'notReleased':
      return memory === 'whole' ? unfit(state, event.reason) : cut({ runState, state: undefined, why: event.reason })
    case 'qemu':
      if (event.status === 'completed') return stay({ ...state, memory: 'whole' })
      return event.status === 'postcopy-paused' && memory === 'coming' ? stay({ ...state, memory: 'cut' }) : stay(state)
    case 'failed':
      return memory === 'whole' ? stay(state) : stay({ ...state, memory: 'cut' })
    case 'gone':
      return fell(link, event.reason)
    case 'linkLost':
      return stay({ ...state, link: 'lost' })
    case 'message':
      return event.message.kind === 'channel' ? {
        state: { ...state, memory: 'coming' }, effects: [{ do: 'openChannel', message: event.message, recover: true }],
      } : stay(state)
    case 'late':
      return { state: { ...state, link: 'lost' }, effects: letGo({ as: 'unanswered', reason: silent('run') }) }
    default:
      return stay(state)
  }
}

/** Reports the result and resumes background work, but keeps watching QEMU. */
function letGo(ending: IncomingEnding): IncomingEffect[] {
  return [{ do: 'closeLink' }, { do: 'goOn' }, { do: 'deliver', ending }]
}

/** The copy is whole, but QEMU refuses to run it: the source may take the guest back. */
function unfit({ link, runState }: IncomingAt<'releasing'>, reason: Reason): IncomingStep {
  const copy = { kind: 'unfit', reason: reason.message } as const
  const record: IncomingEffect = { do: 'record', as: 'unfit', runState, isFirst: true }
  if (link === 'lost') return withEffects([record], hold({ why: reason, link, runState, copy }))
  return { state: { at: 'holding', why: reason, link, runState, copy }, effects: [record, say(copy)] }
}

export function stepServing(state: IncomingAt<'serving'>, event: IncomingEvent): IncomingStep {
  const { state: runs, memory } = state
  switch (event.kind) {
    case 'qemu':
      if (event.status === 'completed') return arrivedServing(event.state ?? runs)
      return event.status === 'postcopy-paused' && memory === 'coming' ? cutServing(state, paused()) : stay(state)
    case 'message':
      return event.message.kind === 'channel' ? {
        state: { ...state, memory: 'coming' }, effects: [{ do: 'openChannel', message: event.message, recover: true }],
      } : stay(state)
    case 'linkLost': case 'failed': case 'stop':
      return cutServing(state, event.reason)
    case 'gone':
      return fell('up', event.reason)
    default:
      return stay(state)
  }
}

/** This QEMU's last message to the source QEMU may be in flight: lets the passages end by themselves. */
function arrivedServing(state: GuestState): IncomingStep {
  const step = arrived('up', state)
  return { ...step, effects: step.effects.filter((effect) => effect.do !== 'stopPassages') }
}

function cutServing({ state }: IncomingAt<'serving'>, why: Reason): IncomingStep {
  return cut({ runState: state, state, why })
}

const askForRest: IncomingEffect[] = [{ do: 'ask', copy: { kind: 'partial' } }, { do: 'wait', wait: 'ask' }]

/**
 * Post-copy broke: QEMU waits to be resumed. Asks the source's host whether the rest of the memory is there; not before
 * QEMU had time to say that all had arrived.
 */
export function cut({ runState, state, why }: Omit<IncomingAt<'cut'>, 'at' | 'isTorn'>): IncomingStep {
  return {
    state: { at: 'cut', runState, state, why, isTorn: false },
    effects: [
      incomingRecord('cut', state ?? runState), { do: 'stopPassages' }, { do: 'closeLink' }, { do: 'goOn' },
      { do: 'deliver', ending: { as: 'cut', reason: why } }, { do: 'wait', wait: 'ask' },
    ],
  }
}

export function stepCut(state: IncomingAt<'cut'>, event: IncomingEvent): IncomingStep {
  const { runState, why } = state
  switch (event.kind) {
    case 'rejoin':
      return {
        state: { at: 'checking', plan: { kind: 'rejoin', runState, state: state.state } },
        effects: [{ do: 'standBack' }, { do: 'check' }],
      }
    case 'qemu':
      // All memory had arrived before the break.
      if (event.status !== 'completed') return stay(state)
      return state.state === undefined ? hold({ why, link: 'lost', runState, copy: { kind: 'whole' } })
        : arrived('lost', event.state ?? state.state)
    case 'gone':
      return state.state === undefined ? broke('lost', event.reason) : fell('lost', event.reason)
    case 'answered':
      if (state.state !== undefined) return answeredWhileCut(state, event.verdict)
      if (event.verdict.verdict === 'kept') return end(runState, why)
      if (event.verdict.verdict !== 'given-up') return stay(state)
      // Neither host knows the run state: ask again, in case the source learns it.
      if (event.verdict.runState === 'unknown' && runState === 'unknown') {
        return stay({ ...state, why: unknownRunState() })
      }
      return release({ link: 'lost', runState: event.verdict.runState, memory: 'cut' }, runState)
    case 'late':
      return state.isTorn ? stay(state) : { state, effects: askForRest }
    case 'settle':
      if (state.state !== undefined) return stay(state)
      return event.decision === 'end' ? end(runState, settled(), true)
        : release({ link: 'lost', runState, memory: 'cut' }, 'running')
    default:
      return stay(state)
  }
}

/** The guest was released: no answer ends it or lets it run again, but one may say that the source QEMU has ended. */
function answeredWhileCut(state: IncomingAt<'cut'>, verdict: Verdict): IncomingStep {
  const isNews = verdict.verdict === 'given-up' && verdict.isTorn === true && !state.isTorn
  return stay(isNews ? { ...state, isTorn: true, why: tornHere() } : state)
}

/** There is no verdict on the copy: it stays paused, `status` lists it, and the source's host is asked. */
export function hold(state: Omit<IncomingAt<'holding'>, 'at'>): IncomingStep {
  return {
    state: { at: 'holding', ...state },
    effects: [
      incomingRecord(state.copy.kind === 'unfit' ? 'unfit' : 'loaded', state.runState), ...closing,
      { do: 'deliver', ending: { as: 'held', reason: state.why } },
      { do: 'ask', copy: state.copy }, { do: 'wait', wait: 'ask' },
    ],
  }
}

export function stepHolding(state: IncomingAt<'holding'>, event: IncomingEvent): IncomingStep {
  const { runState, link, copy } = state
  switch (event.kind) {
    case 'answered': {
      const { verdict } = event
      if (verdict.verdict === 'kept') return end(runState, state.why)
      if (verdict.verdict !== 'given-up' || copy.kind === 'unfit') return stay(state)
      if (verdict.runState === 'unknown' && runState === 'unknown') return stay({ ...state, why: unknownRunState() })
      return release({ link: 'lost', runState: verdict.runState, memory: 'whole' }, runState)
    }
    case 'message':
      return event.message.kind === 'kept' ? end(runState, fromSource(event.message.reason)) : stay(state)
    case 'linkLost':
      return link === 'lost' ? stay(state) : hold({ ...state, link: 'lost' })
    case 'late':
      return { state, effects: [{ do: 'ask', copy }, { do: 'wait', wait: 'ask' }] }
    case 'settle':
      // While the source's host is connected, it may be taking the guest back.
      if (link === 'up') return stay(state)
      if (event.decision === 'end') return end(runState, settled(), true)
      // The operator's decision lifts the promise not to run the copy.
      return withEffects([{ do: 'record', as: 'loaded', runState, isFirst: true }], release(
        { link: 'lost', runState, memory: 'whole' }, 'running',
      ))
    case 'gone':
      return broke(link, event.reason)
    default:
      return stay(state)
  }
}

export function end(runState: RunState, reason: Reason, isSettled = false): IncomingStep {
  return {
    state: { at: 'ending', reason, runState, isSettled, isTold: false },
    effects: [{ do: 'endCopy' }, { do: 'wait', wait: 'break' }],
  }
}

export function stepEnding(state: IncomingAt<'ending'>, event: IncomingEvent): IncomingStep {
  const { reason, runState, isSettled } = state
  switch (event.kind) {
    case 'ended': case 'gone':
      // The source's host must learn the operator's decision.
      return isSettled ? tell('lost', { kind: 'broken', reason: reason.message }, { as: 'ended', reason }, [
        { do: 'record', as: 'broken', runState, isFirst: true },
      ]) : rest({ as: 'ended', reason }, [{ do: 'forget' }])
    case 'notEnded':
      return {
        state: { ...state, isTold: true }, effects: [...notEnded(state, event.reason), { do: 'wait', wait: 'ask' }],
      }
    case 'late':
      return event.wait === 'ask' ? { state, effects: [{ do: 'endCopy' }, { do: 'wait', wait: 'break' }] }
        : { state: { ...state, isTold: true }, effects: notEnded(state, silent('end')) }
    default:
      return stay(state)
  }
}

/** Ending the copy failed: it is tried again, and reported once. The copy runs, or QEMU does not answer. */
function notEnded({ isTold }: IncomingAt<'ending'>, reason: Reason): IncomingEffect[] {
  return isTold ? [] : letGo({ as: reason.code === 'guest-runs' ? 'held' : 'unanswered', reason })
}
