/**
 * The pages kept beyond what is resident in guests: on disk, found by id, within a budget, and still there after a
 * restart. Pages go in and out in batches. A store is a cache that may lose pages and never gives a wrong one: whatever
 * is read is hashed, and what is not what it claims to be is dropped.
 */
export { createStore } from './createstore.ts'
export type { StoreComponents, StoreInit } from './diskstore.ts'
export type { PageKind, PagesToKeep, PutCounts, Store } from './store.ts'
