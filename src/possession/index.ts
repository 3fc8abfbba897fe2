/**
 * Proof that other hosts hold a page, before it leaves this one. What a member reports is only its word: it may have
 * learned prefixes as an owner of a slice, and report them to be served the pages. So a holder counts the hosts itself:
 * it challenges those that are said to hold the page, and counts those that prove it by a hash over the page's bytes.
 */
export type { AskedBy, HeldBatch, Possession, PossessionCounts } from './api.ts'
export { createPossession, type PossessionComponents, type PossessionInit } from './possession.ts'
