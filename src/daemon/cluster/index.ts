/**
 * What the view of a cluster comes to, for the page and for `pagemesh status --cluster`: moves and past handoffs with
 * both ends as one, sums, and what needs somebody. Pure, and loads nothing of the agent.
 */
export { concernsOf, type Concern } from './concerns.ts'
export { movesOf, type Move } from './moves.ts'
export { pastOf, type Past } from './past.ts'
export { ledgerOverTime, totalsOf, type Totals } from './totals.ts'
