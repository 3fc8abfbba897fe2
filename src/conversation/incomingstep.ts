/**
 * The incoming end of a conversation.
 *
 *   idle -> checking -> linking -> greeting -> listing -> waiting -> loading -> loaded -> releasing -> telling -> over
 *                    (any of these: the QEMU goes on waiting) -> over   |  |       |          `-> holding (unfit)
 *     trouble, lost link or passage: breaking, until QEMU says <--------+  |       +-> ending -> over (ended)
 *     whether its copy is whole: loaded, holding | telling (failed)        |       `-> holding: asks until it is told
 *     post-copy: releasing -> serving -> telling (arrived) <---------------+
 *                                `-> cut -- rejoin --> checking
 */
import { LIMITS_MS, type Link, type OutgoingMessage, type Reason, type RunState } from './conversation.ts'
import {
  broke, cut, end, failed, hold, incomingRecord, refused, release, rest, say, stay, stepCut, stepEnding, stepHolding,
  stepReleasing, stepServing, stepTelling, withEffects,
} from './incomingend.ts'
import {
  INCOMING_EXPECTS, type IncomingAt, type IncomingEffect, type IncomingEvent, type IncomingState, type IncomingStep,
} from './incomingstate.ts'
import { destinationFailed, fromSource, notSaid, paused, unexpectedMessage } from './reasons.ts'

/** Questions to the source's host before the end rests although QEMU has not answered. */
const ASKS_MAX = LIMITS_MS.break / LIMITS_MS.ask

/** One step of the incoming end. Pure. */
export function stepIncoming(state: IncomingState, event: IncomingEvent): IncomingStep {
  if (event.kind === 'message' && !isExpected(state, event.message)) {
    const reason = unexpectedMessage(event.message.kind, state.at)
    return withEffects([{ do: 'closeLink', reason }], stepIncoming(state, { kind: 'linkLost', reason }))
  }
  switch (state.at) {
    case 'idle': return stepIdle(state, event)
    case 'checking': case 'linking': case 'greeting': case 'listing': case 'waiting': return stepGreeting(state, event)
    case 'loading': return stepLoading(state, event)
    case 'finishing': return stepFinishing(state, event)
    case 'breaking': return stepBreaking(state, event)
    case 'loaded': return stepLoaded(state, event)
    case 'releasing': return stepReleasing(state, event)
    case 'serving': return stepServing(state, event)
    case 'ending': return stepEnding(state, event)
    case 'holding': return stepHolding(state, event)
    case 'cut': return stepCut(state, event)
    case 'telling': return stepTelling(state, event)
    case 'over': return stay(state)
  }
}

function isExpected(state: IncomingState, message: OutgoingMessage): boolean {
  if (!INCOMING_EXPECTS[state.at].includes(message.kind)) return false
  switch (message.kind) {
    case 'order':
      return state.at === 'waiting' && state.order === 'awaited' && state.plan.kind === 'move'
    case 'channel':
      return isChannelExpected(state, message.number === 0)
    case 'givenUp':
      return state.at !== 'waiting' || state.plan.kind === 'rejoin'
    default:
      return true
  }
}

/** The main channel comes first, and once; the others come while the stream runs. */
function isChannelExpected(state: IncomingState, isMain: boolean): boolean {
  switch (state.at) {
    case 'waiting': return isMain && state.plan.kind === 'move' && state.order === 'taken'
    case 'serving': case 'releasing': return isMain ? state.memory === 'awaited' : state.memory === 'coming'
    default: return !isMain
  }
}

function stepIdle(state: IncomingAt<'idle'>, event: IncomingEvent): IncomingStep {
  if (event.kind !== 'begin') return stay(state)
  return { state: { at: 'checking', plan: state.plan }, effects: [{ do: 'standBack' }, { do: 'check' }] }
}

type Greeting = IncomingAt<'checking' | 'linking' | 'greeting' | 'listing' | 'waiting'>

/** Before the stream begins: a failure here leaves QEMU waiting as before. */
function stepGreeting(state: Greeting, event: IncomingEvent): IncomingStep {
  const { at, plan } = state
  if (plan.kind === 'rejoin' && (event.kind === 'gone' || event.kind === 'qemu')) {
    // The post-copy may end without us, as in the state `cut`.
    const next = stepCut({ at: 'cut', runState: plan.runState, state: plan.state, why: paused(), isTorn: false }, event)
    return next.state.at === 'cut' ? stay(state) : next
  }
  if (event.kind === 'linkLost' && plan.kind === 'dryRun' && at === 'waiting') return rest({ as: 'estimated' })
  const reason = failureOf(at, event)
  if (reason !== undefined) return at === 'checking' ? refused(plan, reason) : failed(plan, reason)
  switch (at) {
    case 'checking':
      return event.kind !== 'checked' ? stay(state) : {
        state: { at: 'linking', plan }, effects: [{ do: 'accept' }, { do: 'link' }, { do: 'wait', wait: 'link' }],
      }
    case 'linking':
      return event.kind !== 'linked' ? stay(state)
        : { state: { at: 'greeting', plan }, effects: [{ do: 'wait', wait: 'greeting' }] }
    default:
      return event.kind === 'message' ? stepGreeted(state, event.message) : stay(state)
  }
}

function failureOf(at: Greeting['at'], event: IncomingEvent): Reason | undefined {
  switch (event.kind) {
    case 'failed': case 'linkLost': case 'gone': case 'stop':
      return event.reason
    case 'late':
      return { code: 'timeout', fault: 'peer', message: `The source's host said nothing in time (${at}).` }
    default:
      return undefined
  }
}

function stepGreeted(state: Greeting, message: OutgoingMessage): IncomingStep {
  const { plan } = state
  switch (message.kind) {
    case 'hello':
      return { state: { at: 'listing', plan }, effects: [{ do: 'wait', wait: 'greeting' }] }
    case 'census':
      return {
        state: { at: 'waiting', plan, order: 'awaited' },
        effects: [{ do: 'answerCensus', body: message.body }, { do: 'wait', wait: 'channel' }],
      }
    case 'order':
      return { state: { at: 'waiting', plan, order: 'taken' }, effects: [{ do: 'fetch', order: message.body }] }
    case 'channel':
      if (plan.kind !== 'move') return stay(state)
      return {
        state: { at: 'loading', mode: plan.mode, runState: 'unknown' },
        effects: [
          { do: 'record', as: 'loading', runState: 'unknown', isFirst: true },
          { do: 'openChannel', message, recover: false },
        ],
      }
    case 'givenUp':
      if (plan.kind !== 'rejoin') return stay(state)
      // The guest runs here already, or may run now.
      if (plan.state !== undefined) return stay({ at: 'serving', state: plan.state, memory: 'awaited' })
      return release({ link: 'up', runState: message.runState, memory: 'awaited' }, plan.runState)
    case 'kept':
      return failed(plan, fromSource(message.reason))
    default:
      return stay(state)
  }
}

function stepLoading(state: IncomingAt<'loading'>, event: IncomingEvent): IncomingStep {
  const { runState } = state
  switch (event.kind) {
    case 'message':
      return stepTold(state, event.message)
    case 'qemu':
      switch (event.status) {
        case 'postcopy-paused': return cut({ runState, state: undefined, why: paused() })
        case 'failed': return broke('up', destinationFailed(event.error))
        case 'completed': return loaded(runState)
        default: return stay(state)
      }
    case 'gone':
      return broke('up', event.reason)
    case 'linkLost':
      return breakOff(event.reason, 'lost', runState)
    case 'failed':
      // Without a channel no byte has reached QEMU.
      return event.what === 'channel' ? broke('up', event.reason) : trouble(state, event.reason)
    case 'stop':
      return trouble(state, event.reason)
    default:
      return stay(state)
  }
}

/** Breaks the stream; QEMU then says whether its copy is whole all the same. */
export function breakOff(reason: Reason, link: Link, runState: RunState, isKept = false): IncomingStep {
  const state: IncomingAt<'breaking'> = { at: 'breaking', reason, link, runState, isKept, askCount: 0 }
  if (isKept) return withEffects([{ do: 'stopPassages' }], abandon(state))
  return withEffects([{ do: 'stopPassages' }], link === 'lost' ? askKept(state)
    : { state, effects: [{ do: 'wait', wait: 'break' }] })
}

/** Asks the source to give up as well. */
function trouble({ runState }: IncomingAt<'loading'>, reason: Reason): IncomingStep {
  return withEffects([say({ kind: 'trouble', reason: reason.message })], breakOff(reason, 'up', runState))
}

function stepTold(state: IncomingAt<'loading'>, message: OutgoingMessage): IncomingStep {
  switch (message.kind) {
    case 'channel':
      return { state, effects: [{ do: 'openChannel', message, recover: false }] }
    case 'switchover':
      return {
        state: { ...state, runState: message.runState }, effects: [incomingRecord('loading', message.runState)],
      }
    case 'givenUp': {
      const runState = knownRunState(message.runState, state.runState)
      // A late post-copy that was not needed ends as pre-copy does.
      return state.mode === 'precopy' || message.isWhole === true ? finish('up', runState)
        : release({ link: 'up', runState, memory: 'coming' }, runState)
    }
    case 'kept':
      return breakOff(fromSource(message.reason), 'up', state.runState, true)
    default:
      return stay(state)
  }
}

function knownRunState(said: RunState, known: RunState): RunState {
  return said === 'unknown' ? known : said
}

/** This host holds the whole guest. */
function loaded(runState: RunState): IncomingStep {
  return {
    state: { at: 'loaded', runState }, effects: [say({ kind: 'whole' }), incomingRecord('loaded', runState)],
  }
}

function finish(link: Link, runState: RunState): IncomingStep {
  return { state: { at: 'finishing', link, runState }, effects: [{ do: 'wait', wait: 'break' }] }
}

function stepFinishing(state: IncomingAt<'finishing'>, event: IncomingEvent): IncomingStep {
  const { link, runState } = state
  switch (event.kind) {
    case 'qemu':
      switch (event.status) {
        case 'completed': return release({ link, runState, memory: 'whole' }, runState)
        case 'postcopy-paused': return cut({ runState, state: undefined, why: paused() })
        case 'failed': return broke(link, destinationFailed(event.error))
        default: return stay(state)
      }
    case 'gone':
      return broke(link, event.reason)
    case 'linkLost':
      return stay({ ...state, link: 'lost' })
    case 'message':
      return event.message.kind === 'switchover'
        ? stay({ ...state, runState: knownRunState(event.message.runState, runState) }) : stay(state)
    case 'late':
      return { state: { ...state, link: 'lost' }, effects: watching(notSaid()) }
    default:
      return stay(state)
  }
}

function stepBreaking(state: IncomingAt<'breaking'>, event: IncomingEvent): IncomingStep {
  const { reason, link, runState, isKept } = state
  switch (event.kind) {
    case 'qemu':
      switch (event.status) {
        case 'completed':
          if (isKept) return end(runState, reason)
          return link === 'up' ? loaded(runState) : hold({ why: reason, link, runState, copy: { kind: 'whole' } })
        case 'postcopy-paused':
          return isKept ? end(runState, reason) : cut({ runState, state: undefined, why: reason })
        case 'failed':
          return broke(link, reason)
        default:
          return stay(state)
      }
    case 'gone':
      return broke(link, reason)
    case 'failed':
      // The channel was still being opened: no byte has reached QEMU.
      return event.what === 'channel' ? broke(link, reason) : stay(state)
    case 'linkLost':
      return isKept || link === 'lost' ? stay({ ...state, link: 'lost' }) : askKept({ ...state, link: 'lost' })
    case 'message':
      switch (event.message.kind) {
        case 'kept': return abandon(state)
        case 'switchover': return stay({ ...state, runState: event.message.runState })
        case 'givenUp': return finish(link, knownRunState(event.message.runState, runState))
        default: return stay(state)
      }
    case 'answered':
      // Other verdicts count only once QEMU has said what it has: the question is repeated then.
      return event.verdict.verdict === 'kept' && !isKept ? abandon(state) : stay(state)
    case 'late':
      // The source keeps the guest, and the copy never ran: the wait is over.
      if (isKept) return event.wait === 'abandon' ? end(runState, reason) : stay(state)
      // The source's host did not answer over the link either.
      return askKept({ ...state, link: 'lost', askCount: event.wait === 'ask' ? state.askCount : ASKS_MAX })
    default:
      return stay(state)
  }
}

/** Asks the source's host whether it keeps the guest, even after the result was reported. */
function askKept(state: IncomingAt<'breaking'>): IncomingStep {
  return {
    state: { ...state, askCount: state.askCount + 1 },
    effects: [
      ...state.askCount === ASKS_MAX ? watching(state.reason) : [], { do: 'ask', copy: { kind: 'unsaid' } },
      { do: 'wait', wait: 'ask' },
    ],
  }
}

/** The source keeps the guest. A QEMU whose stream broke ends by itself; if it does not in time, it is ended. */
function abandon(state: IncomingAt<'breaking'>): IncomingStep {
  return { state: { ...state, isKept: true }, effects: [{ do: 'wait', wait: 'abandon' }] }
}

/** Reports the result and resumes background work, but keeps watching QEMU. */
function watching(reason: Reason): IncomingEffect[] {
  return [{ do: 'closeLink' }, { do: 'goOn' }, { do: 'deliver', ending: { as: 'unanswered', reason } }]
}

function stepLoaded(state: IncomingAt<'loaded'>, event: IncomingEvent): IncomingStep {
  const { runState } = state
  switch (event.kind) {
    case 'message':
      switch (event.message.kind) {
        case 'switchover':
          return {
            state: { ...state, runState: event.message.runState },
            effects: [incomingRecord('loaded', event.message.runState)],
          }
        case 'givenUp': return release({ link: 'up', runState: event.message.runState, memory: 'whole' }, runState)
        case 'kept': return end(runState, fromSource(event.message.reason))
        default: return stay(state)
      }
    case 'linkLost': case 'stop':
      return hold({ why: event.reason, link: 'lost', runState, copy: { kind: 'whole' } })
    case 'gone':
      return broke('up', event.reason)
    default:
      return stay(state)
  }
}
