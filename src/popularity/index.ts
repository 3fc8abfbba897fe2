/**
 * Which pages the mesh holds: how many hosts and guests hold each page. Hosts report their stable pages to the two
 * owners of each slice, owners add the reports up and gossip the popular pages, and every host keeps a bounded merged
 * view. All state is soft: reports are per origin and versioned, so that repeated, late and lost ones do no harm.
 */
export type { HeldPages, Popularity, PopularityView, PopularPages } from './api.ts'
export { joinPopularity } from './joined.ts'
export { hostTag, weightOf } from './owners.ts'
export { createPopularity, type PopularityInit } from './popularity.ts'
