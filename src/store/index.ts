/**
 * The pages kept beyond those resident in guests: on disk, found by id, within a budget, and kept across restarts.
 * Pages are read and written in batches, and lie sealed by keys of their scopes. A store is a cache that may lose pages
 * and never returns a wrong one: every page read is opened and hashed, and one that does not match is dropped. Pages of
 * a scope that lives no longer are dropped too.
 */
export { createStore } from './createstore.ts'
export type { StoreComponents, StoreInit } from './diskstore.ts'
export type { PageKind, PagesToKeep, PutCounts, Store } from './store.ts'
