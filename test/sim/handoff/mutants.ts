/** The rules of the conversation, each broken in one place: the simulation must notice each. */
import type { IncomingEffect } from '../../../src/conversation/incomingstate.ts'
import type { OutgoingEffect, OutgoingState } from '../../../src/conversation/outgoingstate.ts'
import { REAL_STEPS, type Steps } from './world.ts'

const KEPT: OutgoingEffect = { do: 'say', message: { kind: 'kept', reason: 'asked to stop' } }

function withoutGoOn<Effect extends { do: string }>(effects: Effect[]): Effect[] {
  return effects.filter((effect) => effect.do !== 'goOn')
}

/** Whether this step first asks QEMU to give up. */
function isStopping(before: OutgoingState, after: OutgoingState): boolean {
  return before.at !== 'stopping' && after.at === 'stopping'
}

export const MUTANTS: Readonly<Record<string, Steps>> = {
  'says "kept" before it asks the source QEMU': {
    ...REAL_STEPS,
    outgoing(state, event, world) {
      const step = REAL_STEPS.outgoing(state, event, world)
      return isStopping(state, step.state) ? { state: step.state, effects: [KEPT, ...step.effects] } : step
    },
  },
  'releases without "given up"': {
    ...REAL_STEPS,
    incoming(state, event, world) {
      const step = REAL_STEPS.incoming(state, event, world)
      if (step.state.at !== 'loaded' || state.at === 'loaded' || step.state.runState === 'unknown') return step
      const { runState } = step.state
      return {
        state: { at: 'releasing', link: 'up', runState, memory: 'whole' },
        effects: [...step.effects, { do: 'release', runState }],
      }
    },
  },
  'ends a copy because the lane was lost': {
    ...REAL_STEPS,
    incoming(state, event, world) {
      if (state.at !== 'loaded' || event.kind !== 'linkLost') return REAL_STEPS.incoming(state, event, world)
      const effects: IncomingEffect[] = [{ do: 'endCopy' }, { do: 'wait', wait: 'break' }]
      const { reason } = event
      return { state: { at: 'ending', reason, runState: state.runState, isSettled: false, isTold: false }, effects }
    },
  },
  'ends a copy whose QEMU does not answer, whatever the source says': {
    ...REAL_STEPS,
    incoming(state, event, world) {
      if (state.at !== 'breaking' || event.kind !== 'late') return REAL_STEPS.incoming(state, event, world)
      return REAL_STEPS.incoming({ ...state, isKept: true }, { kind: 'late', wait: 'abandon' }, world)
    },
  },
  'waits for ever for a QEMU that does not answer': {
    ...REAL_STEPS,
    incoming(state, event, world) {
      const isKept = state.at === 'breaking' && event.kind === 'late' ? { isKept: false } : {}
      return REAL_STEPS.incoming({ ...state, ...isKept }, event, world)
    },
  },
  'does not ask about a QEMU that does not answer': {
    ...REAL_STEPS,
    incoming(state, event, world) {
      const step = REAL_STEPS.incoming(state, event, world)
      if (step.state.at !== 'breaking') return step
      return { state: step.state, effects: step.effects.filter((effect) => effect.do !== 'ask') }
    },
  },
  'forgets what stood back, at the source': {
    ...REAL_STEPS,
    outgoing(...args) {
      const step = REAL_STEPS.outgoing(...args)
      return step.state.at === 'unconfirmed' ? { state: step.state, effects: withoutGoOn(step.effects) } : step
    },
  },
  'forgets what stood back, at the destination': {
    ...REAL_STEPS,
    incoming(...args) {
      const step = REAL_STEPS.incoming(...args)
      return step.state.at === 'holding' ? { state: step.state, effects: withoutGoOn(step.effects) } : step
    },
  },
  'asks for the run state once, at the beginning': {
    ...REAL_STEPS,
    outgoing(state, event, world) {
      if (event.kind !== 'switchover') return REAL_STEPS.outgoing(state, event, world)
      return REAL_STEPS.outgoing(state, { ...event, runState: world.runStateAtBegin }, world)
    },
  },
  'takes every death for one that was heard to the end': {
    ...REAL_STEPS,
    outgoing(state, event, world) {
      return REAL_STEPS.outgoing(state, event.kind === 'gone' ? { ...event, wasHeard: true } : event, world)
    },
  },
  'does not mind that QEMU said "cancelling" before it died': {
    ...REAL_STEPS,
    outgoing(state, event, world) {
      const isIgnored = event.kind === 'qemu' && event.status === 'cancelling'
      return isIgnored ? { state, effects: [] } : REAL_STEPS.outgoing(state, event, world)
    },
  },
  'says "given up" as soon as post-copy begins': {
    ...REAL_STEPS,
    outgoing(state, event, world) {
      const step = REAL_STEPS.outgoing(state, event, world)
      if (state.at !== 'moving' || step.state.at !== 'handingOver') return step
      return { state: step.state, effects: [{ do: 'say', message: { kind: 'givenUp', runState: 'running' } }] }
    },
  },
  'tells once what became of a copy': {
    ...REAL_STEPS,
    incoming(state, event, world) {
      return state.at === 'telling' && event.kind === 'late' ? { state, effects: [] }
        : REAL_STEPS.incoming(state, event, world)
    },
  },
  'carries the main channel alone': {
    ...REAL_STEPS,
    outgoing(state, event, world) {
      return event.kind === 'begun' && state.at === 'moving' ? { state, effects: [] }
        : REAL_STEPS.outgoing(state, event, world)
    },
  },
  'aborts the QMP session on cancel': {
    ...REAL_STEPS,
    outgoing(state, event, world) {
      const { state: next, effects } = REAL_STEPS.outgoing(state, event, world)
      return {
        state: next,
        effects: effects.map((effect) => (effect.do === 'cancelQemu' ? { do: 'closeDriver' } : effect)),
      }
    },
  },
}
