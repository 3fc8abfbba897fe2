/** The assertions of a run, as objects: those of every scenario, and those that a scenario's data names. */
import type { RunRecord, Verdict } from '../record.ts'
import type { Expectation, Scenario } from '../scenario.ts'
import { agentsSettle, keepsWithinLimit, nothingLeftBehind, viewsAgree } from './agents.ts'
import type { Assertion } from './assertion.ts'
import { everyGuestRuns, neverTwice, noGuestLost } from './guests.ts'
import {
  everyGuestMoved, filledFromStore, memoryEqual, movesEndAsPlanned, movesOverlapped, noWorseThanPlain, savedAtLeast,
  workGoesOn,
} from './moves.ts'

/** They hold of every scenario, so none needs to name them. */
const ALWAYS: readonly Assertion[] = [
  everyGuestRuns, noGuestLost, neverTwice, movesEndAsPlanned, memoryEqual, workGoesOn, agentsSettle, nothingLeftBehind,
]

export function assertionsOf(scenario: Pick<Scenario, 'expect'>): Assertion[] {
  return [...ALWAYS, ...scenario.expect.map(assertionFor)]
}

/** Judges a run by all assertions of its scenario. Pure. */
export function judge(scenario: Pick<Scenario, 'expect'>, record: RunRecord): Verdict[] {
  return assertionsOf(scenario).map((assertion) => ({ assertion: assertion.name, faults: assertion.check(record) }))
}

function assertionFor(expectation: Expectation): Assertion {
  switch (expectation.that) {
    case 'saved-at-least': return savedAtLeast(expectation.share)
    case 'no-worse-than-plain': return noWorseThanPlain(expectation.ratio)
    case 'every-guest-moved': return everyGuestMoved(expectation.times)
    case 'moves-overlapped': return movesOverlapped
    case 'filled-from-store': return filledFromStore(expectation.pages)
    case 'views-agree': return viewsAgree(expectation.share)
    case 'keeps-within-limit': return keepsWithinLimit(expectation.host)
  }
}
