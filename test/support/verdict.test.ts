import assert from 'node:assert/strict'

import { judge, type FaultKind, type Observation } from './verdict.ts'

const COMPLETED = { status: 'completed', arrivedState: 'running', downtimeMs: 80 } as const
const CANCELLED = { status: 'cancelled', reason: 'Cancelled; it runs on at the source.', downtimeMs: null } as const
const FREE = { a: { handoffs: 0, held: [] }, b: { handoffs: 0, held: [] } }

/** A successful move, except for the given fields. */
function observation(other: Partial<Observation> = {}): Observation {
  return {
    guest: 'g', overlapMs: 0, agents: FREE, mayEnd: ['completed', 'cancelled', 'failed'], mayBeLost: false,
    source: { host: 'a', state: 'postmigrate', hasArrived: false, wasQuit: false },
    destination: { host: 'b', state: 'running', hasArrived: true, wasQuit: false },
    move: { exit: 0, words: COMPLETED },
    ...other,
  }
}

const atSource = { host: 'a', state: 'running', hasArrived: false, wasQuit: false }
const gone = { host: 'a', state: 'gone', hasArrived: false, wasQuit: false }
const ended = { host: 'b', state: 'gone', hasArrived: false, wasQuit: false }
const cancelledMove = { exit: 130, words: CANCELLED }

describe('the verdict on a round', () => {
  const right: Record<string, Observation> = {
    'a guest that moved': observation(),
    'a guest that stayed': observation({
      source: atSource, destination: ended, move: cancelledMove, cancel: { exit: 0 },
    }),
    'a cancel that came too late': observation({ cancel: { exit: 1 } }),
    'a waiting QEMU that waits on': observation({
      source: atSource, destination: { ...ended, state: 'inmigrate' }, move: cancelledMove,
    }),
    'a source that died with the only copy, and is said to': observation({
      source: gone, destination: ended, mayBeLost: true,
      move: { exit: 1, words: { status: 'failed', reason: 'No whole copy of g is left.', downtimeMs: null } },
    }),
  }
  for (const [title, seen] of Object.entries(right)) {
    it(`is good: ${title}`, () => assert.deepEqual(judge(seen), []))
  }

  const wrong: Record<string, { kind: FaultKind; seen: Observation }> = {
    'both copies are gone': { kind: 'lost', seen: observation({ source: gone, destination: ended }) },
    'it stands still at both ends': {
      kind: 'lost', seen: observation({ destination: { ...ended, state: 'paused', hasArrived: true } }),
    },
    'a whole copy was ended, though the source is dead': {
      kind: 'lost',
      seen: observation({ source: gone, destination: { ...ended, hasArrived: true, wasQuit: true }, mayBeLost: true }),
    },
    'both run': { kind: 'doubled', seen: observation({ source: atSource }) },
    'both ran for a moment': { kind: 'doubled', seen: observation({ overlapMs: 0.4 }) },
    'the command never ends': { kind: 'wedged', seen: observation({ move: undefined }) },
    'the cancel never ends': { kind: 'wedged', seen: observation({ cancel: { exit: undefined } }) },
    'an agent does not answer': { kind: 'wedged', seen: observation({ agents: { ...FREE, b: undefined } }) },
    'a handoff is left': { kind: 'wedged', seen: observation({ agents: { ...FREE, b: { handoffs: 1, held: [] } } }) },
    'a copy is held, though both agents live': {
      kind: 'wedged',
      seen: observation({
        agents: { ...FREE, b: { handoffs: 0, held: [{ guest: 'g', from: 'a', sinceMs: 0, why: 'unknown' }] } },
      }),
    },
    'a loaded copy is left beside the guest': {
      kind: 'wedged', seen: observation({
        source: atSource, destination: { ...ended, state: 'paused' }, move: cancelledMove,
      }),
    },
    'it failed, but runs at the destination': {
      kind: 'wrongWords', seen: observation({ move: { exit: 1, words: { status: 'failed', downtimeMs: null } } }),
    },
    'cancel says that it was in time, and was not': { kind: 'wrongWords', seen: observation({ cancel: { exit: 0 } }) },
    'no arrived state': {
      kind: 'wrongWords', seen: observation({ move: { exit: 0, words: { status: 'completed', downtimeMs: 80 } } }),
    },
    'an exit status of another end': { kind: 'wrongWords', seen: observation({ move: { exit: 1, words: COMPLETED } }) },
    'an end that it must not have': { kind: 'wrongWords', seen: observation({ mayEnd: ['cancelled'] }) },
    'it is said to run on where it is dead': {
      kind: 'wrongWords', seen: observation({ source: gone, destination: ended, move: cancelledMove, mayBeLost: true }),
    },
    'a setting is left': {
      kind: 'settingsLeft', seen: observation({
        source: {
          host: 'a', state: 'postmigrate', hasArrived: false, wasQuit: false,
          settings: { before: { events: false }, after: { events: true } },
        },
      }),
    },
  }
  for (const [title, { kind, seen }] of Object.entries(wrong)) {
    it(`is ${kind}: ${title}`, () => {
      assert.ok(judge(seen).some((fault) => fault.kind === kind), JSON.stringify(judge(seen)))
    })
  }
})
