/**
 * The outgoing end of a conversation.
 *
 *   idle -> preparing -> offering -> linking -> listing -> starting -> moving --> leaving -> over (completed)
 *                 (any of these, nothing begun) --> over                 |  |       ^   `-> takingBack -> over (kept)
 *                                                                        |  +-> handingOver -> serving (post-copy)
 *                    cancel, trouble, lost link or passage: stopping <---+  |  ^    `-> cut -- rejoin --> preparing
 *                                                               `- too late -|--'
 *                    only the source QEMU's answer leads on: kept | givenUp |
 *                    its process died: orphaned, until the copy's fate <----+
 */
import type { CopyNews, Hastening, Plan, Reason, RunState, Wait } from './conversation.ts'
import {
  addFetched, complete, cut, heldAt, keep, leave, lose, movingOf, outgoingRecord, rest, settleOrphan, stay,
  stepConfirmed, stepCut, stepLeaving, stepServed, stepServing, stepTakingBack, stop, tear, tellGivenUp,
  verdictOf, withEffects,
} from './outgoingend.ts'
import {
  OUTGOING_EXPECTS, type Greeting, type OutgoingAt, type OutgoingEffect, type OutgoingEvent, type OutgoingState,
  type OutgoingStep, type Undecided,
} from './outgoingstate.ts'
import { fromOther, sourceEnded, unexpectedMessage } from './reasons.ts'

/** One step of the outgoing end. Pure. */
export function stepOutgoing(state: OutgoingState, event: OutgoingEvent): OutgoingStep {
  if (event.kind === 'asked') return stepAsked(state, event.copy)
  if (event.kind === 'message' && !OUTGOING_EXPECTS[state.at].includes(event.message.kind)) {
    const reason = unexpectedMessage(event.message.kind, state.at)
    return withEffects([{ do: 'closeLink', reason }], stepOutgoing(state, { kind: 'linkLost', reason }))
  }
  switch (state.at) {
    case 'idle': return stepIdle(state, event)
    case 'preparing': case 'offering': case 'linking': case 'listing': case 'starting':
      return stepGreeting(state, event)
    case 'moving': case 'handingOver': case 'stopping': case 'orphaned': return stepUndecided(state, event)
    case 'leaving': case 'unconfirmed': return stepLeaving(state, event)
    case 'takingBack': return stepTakingBack(state, event)
    case 'serving': return stepServing(state, event)
    case 'cut': return stepCut(state, event)
    case 'over': return stay(state)
  }
}

function stepIdle(state: OutgoingAt<'idle'>, event: OutgoingEvent): OutgoingStep {
  if (event.kind !== 'begin') return stay(state)
  return { state: { at: 'preparing', plan: state.plan }, effects: [{ do: 'standBack' }, { do: 'prepare' }] }
}

/** Before migration begins: a failure here leaves the guest as it is. */
function stepGreeting(state: Greeting, event: OutgoingEvent): OutgoingStep {
  const { at, plan } = state
  const reason = failureOf(state, event)
  if (reason !== undefined) return abandon(state, event, reason)
  if (plan.kind === 'rejoin' && event.kind === 'qemu' && event.status === 'completed') {
    return leave({ link: at === 'starting' || at === 'listing' ? 'up' : 'lost', runState: plan.runState }, 'postcopy')
  }
  if (event.kind === 'hasten') {
    return stay(plan.kind === 'move' ? { at, plan: { ...plan, hastenedBy: event.by } } : state)
  }
  switch (at) {
    case 'preparing':
      return event.kind !== 'prepared' ? stay(state)
        : { state: { at: 'offering', plan }, effects: [{ do: 'offer' }, { do: 'wait', wait: 'offer' }] }
    case 'offering': case 'linking':
      // The other end dials as soon as it accepts: its connection may arrive before its answer.
      if (event.kind === 'linked') {
        return { state: { at: 'listing', plan }, effects: [{ do: 'greet' }, { do: 'wait', wait: 'greeting' }] }
      }
      return event.kind === 'accepted' && at === 'offering'
        ? { state: { at: 'linking', plan }, effects: [{ do: 'wait', wait: 'link' }] } : stay(state)
    case 'listing':
      return event.kind === 'message' && event.message.kind === 'bitmap'
        ? stepListed(plan, event.message.body) : stay(state)
    case 'starting':
      if (event.kind === 'begun') return stepBegun(plan)
      return event.kind === 'message' && event.message.kind === 'fetched' ? addFetched(state, event.message.body)
        : stay(state)
  }
}

/** The reason if the event ends the conversation before migration begins, otherwise undefined. */
function failureOf(state: Greeting, event: OutgoingEvent): Reason | undefined {
  switch (event.kind) {
    case 'failed': case 'linkLost': case 'cancel': case 'gone':
      return event.reason
    case 'qemu':
      return event.status === 'failed' || event.status === 'cancelled'
        ? sourceEnded(event.status, event.error) : undefined
    case 'message':
      return event.message.kind === 'trouble' || event.message.kind === 'broken'
        ? fromOther(event.message.reason) : undefined
    case 'late':
      return {
        code: 'timeout', fault: 'peer', message: `The other agent did not answer in time (${state.at}).`,
        advice: 'See the log of the other agent.',
      }
    default:
      return undefined
  }
}

function abandon({ at, plan }: Greeting, event: OutgoingEvent, reason: Reason): OutgoingStep {
  if (plan.kind === 'rejoin') return event.kind === 'gone' ? tear(plan.runState, reason) : cut(plan.runState, reason)
  if (event.kind === 'gone') return lose(reason)
  // QEMU was told to migrate: unless it refused or has ended the migration itself, ask it to give up.
  const isAsked = at === 'starting' && event.kind !== 'qemu' && !(event.kind === 'failed' && event.what === 'start')
  if (!isAsked) return rest({ as: 'kept', reason }, [{ do: 'forget' }])
  const link = event.kind === 'linkLost' ? 'lost' : 'up'
  return stop({ link, copy: 'unknown', runState: 'unknown', isCancelling: false }, reason)
}

function stepListed(plan: Plan, body: Buffer): OutgoingStep {
  const taken: OutgoingEffect = { do: 'useBitmap', body }
  if (plan.kind === 'dryRun') return withEffects([taken], rest({ as: 'estimated' }, [{ do: 'forget' }]))
  const isRejoin = plan.kind === 'rejoin'
  return {
    state: { at: 'starting', plan },
    effects: [
      taken,
      isRejoin ? { do: 'say', message: { kind: 'givenUp', runState: plan.runState } }
        : { do: 'record', as: 'moving', runState: 'unknown', isFirst: true },
      { do: 'start', resume: isRejoin },
      { do: 'wait', wait: 'begin' },
    ],
  }
}

/** QEMU's stream begins. */
function stepBegun(plan: Plan): OutgoingStep {
  const opened: OutgoingEffect[] = [{ do: 'openChannel' }]
  if (plan.kind === 'rejoin') return { state: { at: 'serving', link: 'up', runState: plan.runState }, effects: opened }
  if (plan.kind === 'move') opened.push(...hastened(hasteningOf(plan)))
  return {
    state: { at: 'moving', link: 'up', copy: 'unknown', runState: 'unknown', isCancelling: false }, effects: opened,
  }
}

/** What is to be done as soon as the stream runs. */
function hasteningOf({ mode, isLate, hastenedBy }: Extract<Plan, { kind: 'move' }>): Hastening | undefined {
  return hastenedBy ?? (mode === 'postcopy' && isLate !== true ? 'postcopy' : undefined)
}

function hastened(by: Hastening | undefined): OutgoingEffect[] {
  if (by === undefined) return []
  return [by === 'postcopy' ? { do: 'startPostcopy' } : { do: 'allowPause' }]
}

/** While the stream runs, only the source QEMU decides the outcome. */
function stepUndecided(state: Undecided, event: OutgoingEvent): OutgoingStep {
  switch (event.kind) {
    case 'switchover':
      return {
        state: { ...state, runState: event.runState },
        effects: [
          ...(state.link === 'up' ? [tellSwitchover(event.runState)] : []),
          outgoingRecord(state.at === 'orphaned' && !state.mayHaveGoneOn ? 'orphaned' : 'moving', event.runState),
        ],
      }
    case 'begun':
      // A QEMU that was asked to give up may go on all the same, and then it needs all of its channels.
      return state.link === 'up' && state.at !== 'orphaned' ? { state, effects: [{ do: 'openChannel' }] } : stay(state)
    case 'handedOver':
      // A QEMU that was asked to give up before switchover never gets here; one in `cancelling` decides by itself.
      if (state.at === 'orphaned' || state.isCancelling) return stay(state)
      return {
        state: { at: 'serving', link: state.link, runState: state.runState },
        effects: [...tellGivenUp(state), outgoingRecord('cut', state.runState)],
      }
    case 'qemu':
      return stepDecided(state, event)
    case 'gone':
      return state.at === 'orphaned' ? stay(state) : orphan(state, event.reason, event.wasHeard)
    case 'message':
      switch (event.message.kind) {
        case 'fetched': return addFetched(state, event.message.body)
        case 'trouble': return endangered(state, fromOther(event.message.reason))
        case 'bitmap': return stay(state)
        default: return stepCopyNews(state, event.message)
      }
    case 'linkLost':
      return endangered({ ...state, link: 'lost' }, event.reason)
    case 'failed':
      // A QEMU that refuses to migrate has decided too.
      return event.what === 'start' ? keep(state, event.reason) : endangered(state, event.reason)
    case 'cancel':
      return endangered(state, event.reason, true)
    case 'hasten':
      return state.at === 'moving' ? { state, effects: hastened(event.by) } : stay(state)
    case 'late':
      return stepLate(state, event.wait)
    default:
      return stay(state)
  }
}

function tellSwitchover(runState: RunState): OutgoingEffect {
  return { do: 'say', message: { kind: 'switchover', runState } }
}

function stepDecided(state: Undecided, { status, error }: Extract<OutgoingEvent, { kind: 'qemu' }>): OutgoingStep {
  switch (status) {
    case 'completed':
      return leave(state, 'completed')
    case 'failed': case 'cancelled':
      return keep(state, 'reason' in state ? state.reason : sourceEnded(status, error))
    case 'cancelling':
      return stay({ ...state, isCancelling: true })
    case 'postcopy-active':
      return handOver(state)
    case 'postcopy-paused':
      return cut(state.runState, 'reason' in state ? state.reason : sourceEnded(status, error))
    default:
      return stay(state)
  }
}

/** QEMU can no longer be asked to give up: a cancel is too late, and trouble breaks its stream. */
function handOver(state: Undecided): OutgoingStep {
  if (state.at !== 'moving' && state.at !== 'stopping') return stay(state)
  const handing: Undecided = { ...movingOf(state), at: 'handingOver' }
  return state.at === 'moving' || state.isWish ? stay(handing) : endangered(handing, state.reason)
}

function orphan(state: Undecided, reason: Reason, wasHeard: boolean): OutgoingStep {
  const mayHaveGoneOn = !wasHeard || state.isCancelling
  return settleOrphan({ ...movingOf(state), at: 'orphaned', reason, mayHaveGoneOn }, [
    ...(mayHaveGoneOn ? [] : [outgoingRecord('orphaned', state.runState)]), { do: 'wait', wait: 'orphan' },
  ])
}

function stepCopyNews(state: Undecided, copy: CopyNews): OutgoingStep {
  if (copy.kind === 'whole') {
    const known: Undecided = { ...state, copy: 'whole' }
    return known.at === 'orphaned' ? settleOrphan(known, []) : stay(known)
  }
  // A restarted agent may have no record that it gave the guest up.
  if (copy.kind === 'arrived') return complete(copy)
  if (copy.kind === 'unsaid') return stay(state)
  if (state.at !== 'orphaned') {
    return copy.kind === 'broken' || copy.kind === 'fell'
      ? endangered({ ...state, copy: 'broken' }, fromOther(copy.reason)) : stay(state)
  }
  return copy.kind === 'unfit' ? heldAt(state.runState, fromOther(copy.reason)) : lose(state.reason)
}

/** Something went wrong: asks the source QEMU to give up, unless it was asked already. */
function endangered(state: Undecided, reason: Reason, isCancel = false): OutgoingStep {
  switch (state.at) {
    case 'moving':
      return stop(movingOf(state), reason, isCancel)
    case 'handingOver':
      // Too late for a cancel. When the stream breaks, QEMU itself fails or waits to be resumed.
      if (isCancel) return stay(state)
      return { state, effects: [{ do: 'stopPassages' }, { do: 'wait', wait: 'undecided' }] }
    case 'stopping':
      // A closed lane says little: its other end reports the reason a moment later.
      if (isCancel) return stay(state)
      return stay({ ...state, isWish: false, ...(state.reason.code === 'lane-lost' ? { reason } : {}) })
    default:
      return stay(state)
  }
}

/** A wait ran out: the end rests, and later news amends the result. */
function stepLate(state: Undecided, wait: Wait): OutgoingStep {
  if (wait === 'giveUp') {
    return state.at === 'stopping'
      ? { state, effects: [{ do: 'cancelQemu' }, { do: 'wait', wait: 'undecided' }] } : stay(state)
  }
  const reason = 'reason' in state ? state.reason : sourceEnded('is not decided', undefined)
  const as = state.at === 'orphaned' && !state.mayHaveGoneOn ? 'orphaned' : 'undecided'
  return {
    state: { ...state, link: 'lost' },
    effects: [
      { do: 'stopPassages' }, { do: 'closeLink' }, { do: 'goOn' }, { do: 'deliver', ending: { as, reason } },
    ],
  }
}

/** The destination's host has lost the connection: it reports its copy and asks for the source's verdict. */
function stepAsked(state: OutgoingState, copy: CopyNews): OutgoingStep {
  const next = stepTold(state, copy)
  return { state: next.state, effects: [...next.effects, { do: 'answer', verdict: verdictOf(next.state) }] }
}

function stepTold(state: OutgoingState, copy: CopyNews): OutgoingStep {
  switch (state.at) {
    case 'moving': case 'handingOver': case 'stopping': case 'orphaned':
      return stepCopyNews(state, copy)
    case 'leaving': case 'unconfirmed':
      return stepConfirmed(state, copy)
    case 'preparing': case 'offering': case 'linking': case 'listing': case 'starting':
      return state.plan.kind === 'rejoin' ? stepServed(state, copy, state.plan.runState) : stay(state)
    case 'serving': case 'cut':
      return stepServed(state, copy, state.runState)
    case 'over':
      // The operator let the copy run.
      return state.ending.as === 'held' && copy.kind === 'arrived' ? complete(copy) : stay(state)
    default:
      return stay(state)
  }
}
