/**
 * The pages kept beyond those resident in guests: on disk, found by id, within a budget, and kept across restarts.
 * Pages are read and written in batches. A store is a cache that may lose pages and never returns a wrong one: every
 * page read is hashed, and one that does not match is dropped.
 */
export { createStore } from './createstore.ts'
export type { StoreComponents, StoreInit } from './diskstore.ts'
export type { PageKind, PagesToKeep, PutCounts, Store } from './store.ts'
