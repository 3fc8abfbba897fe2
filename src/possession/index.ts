/**
 * Proof that other hosts hold a page, before it leaves this one. A member's report is only its word: as an owner of a
 * slice it may have learnt prefixes, and report them in order to be served the pages. So this host challenges the hosts
 * that are said to hold the page, and counts those that prove it by a hash over the page's bytes.
 */
export type { AskedBy, HeldBatch, Possession, PossessionCounts } from './api.ts'
export { createPossession, type PossessionComponents, type PossessionInit } from './possession.ts'
