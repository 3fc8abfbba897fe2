/**
 * Which pages the mesh holds: in how many hosts and guests each page lives. Hosts report their stable pages to the two
 * owners of each slice, owners sum and gossip what is popular, and every host keeps a bounded merged view. All state
 * is soft: reports are per origin and versioned, so repeated, late and lost ones do no harm.
 */
export type { HeldPages, Popularity, PopularityView, PopularPages } from './api.ts'
export { hostTag, weightOf } from './owners.ts'
export { createPopularity, type PopularityInit } from './popularity.ts'
